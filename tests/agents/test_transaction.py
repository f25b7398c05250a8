"""Transactions that are begun ahead of their rows: the same rows and offsets, and no reader is held up meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ProducerFenced
from aiokafka.structs import TopicPartition

from agents.clients import read_topic, reader
from agents.outbox import Outbox
from agents.topic_admin import create_topics
from agents.topics import BY_NAME, TopicSettings
from agents.transaction import AHEAD_COMMITS, ExactlyOnce

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents.transaction import AheadTransactions
    from tests.conftest import Broker

TOPICS = ("decisions", "push-candidates", "journal")
GROUP = "user"


@asynccontextmanager
async def committer(broker: Broker, prefix: str) -> AsyncIterator[ExactlyOnce]:
    """A task's own, started; its topics are there, with one partition."""
    topics = TopicSettings(prefix=prefix, partitions=1)
    await create_topics(broker.client, topics, topics=[BY_NAME[name] for name in (*TOPICS, "browse")])
    made = ExactlyOnce(broker.client, transactional_id=f"{prefix}task", group=f"{prefix}{GROUP}", timeout_ms=10_000)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def outbox_of(prefix: str, rows: dict[str, list[bytes]]) -> Outbox:
    """Rows by topic, in partition 0."""
    outbox = Outbox()
    for name, values in rows.items():
        for value in values:
            outbox.add(f"{prefix}{name}", 0, b"key", value)
    return outbox


async def told(made: ExactlyOnce) -> AheadTransactions:
    """Wait until the broker knows what was begun ahead."""
    transactions: Any = made._producer._txn_manager
    async with asyncio.timeout(30):
        while transactions.partitions_to_add() or transactions.consumer_group_to_add():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    found: AheadTransactions = transactions
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_was_begun_ahead_the_rows_and_offsets_are_those_committed(
    broker: Broker, prefix: str, seed: int
) -> None:
    rng = random.Random(seed)

    async def scenario() -> None:
        expected: defaultdict[str, list[bytes]] = defaultdict(list)
        offset = 0
        async with committer(broker, prefix) as made:
            for number in range(4 * AHEAD_COMMITS):
                if rng.random() < 0.7:
                    made.ahead()
                if rng.random() < 0.5:
                    await asyncio.sleep(0.002 * rng.random())  # as long as a batch may take to fold, or less
                used = rng.sample(TOPICS, rng.randrange(len(TOPICS) + 1))
                rows = {name: [b"%d-%d" % (number, n) for n in range(rng.randrange(1, 4))] for name in used}
                offset += rng.randrange(3)
                ends = await made.commit(
                    outbox_of(prefix, rows), {(f"{prefix}browse", 0): offset} if rng.random() < 0.8 else {}
                )
                assert set(ends) == {(f"{prefix}{name}", 0) for name in used}
                for name, values in rows.items():
                    expected[name] += values
            await made.commit(outbox_of(prefix, {}), {(f"{prefix}browse", 0): offset + 1})
        for name in TOPICS:
            assert [record.value for record in await read_topic(broker.client, f"{prefix}{name}")] == expected[name]
        admin = AIOKafkaAdminClient(**broker.client)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(f"{prefix}{GROUP}")
        finally:
            await admin.close()
        assert offsets[TopicPartition(f"{prefix}browse", 0)].offset == offset + 1

    asyncio.run(scenario())


def test_a_transaction_that_is_begun_ahead_is_known_to_the_broker_and_holds_up_no_reader(
    broker: Broker, prefix: str
) -> None:
    async def scenario() -> None:
        topic = f"{prefix}decisions"
        async with committer(broker, prefix) as made, reader(broker.client) as consumer:
            await made.commit(outbox_of(prefix, {"decisions": [b"first"]}), {(f"{prefix}browse", 0): 1})
            made.ahead()
            transactions = await told(made)
            assert transactions.txn_partitions == {TopicPartition(topic, 0)}
            assert transactions._txn_consumer_group == f"{prefix}{GROUP}"
            async with AIOKafkaProducer(**broker.client) as other:
                await other.send_and_wait(topic, b"of another", partition=0)
            assert await values_of(consumer, topic, 2) == [b"first", b"of another"]
            await made.commit(outbox_of(prefix, {"decisions": [b"second"]}), {(f"{prefix}browse", 0): 2})
            assert await values_of(consumer, topic, 3) == [b"first", b"of another", b"second"]

    asyncio.run(scenario())


async def values_of(consumer: AIOKafkaConsumer, topic: str, count: int) -> list[bytes]:
    """The first so many values of a topic."""
    at = TopicPartition(topic, 0)
    consumer.assign([at])
    await consumer.seek_to_beginning(at)
    found: list[bytes] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found.append((await consumer.getone()).value)
    return found


def test_what_a_task_begins_ahead_before_it_is_gone_is_ended_by_the_next_owner(broker: Broker, prefix: str) -> None:
    async def scenario() -> None:
        async with committer(broker, prefix) as zombie:
            await zombie.commit(outbox_of(prefix, {"decisions": [b"first"]}), {(f"{prefix}browse", 0): 1})
            zombie.ahead()
            await told(zombie)
            async with committer(broker, prefix) as owner:
                await owner.commit(outbox_of(prefix, {"decisions": [b"second"]}), {(f"{prefix}browse", 0): 2})
                with pytest.raises(ProducerFenced):
                    await zombie.commit(outbox_of(prefix, {"decisions": [b"never"]}), {(f"{prefix}browse", 0): 9})
        values = [record.value for record in await read_topic(broker.client, f"{prefix}decisions")]
        assert values == [b"first", b"second"]

    asyncio.run(scenario())
