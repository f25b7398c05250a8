"""Replicas follow the offsets a journal pins, back as well as forward, and refuse what compaction took away."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from agents.clients import partitions_of, reader
from agents.metrics import Metrics
from agents.roles.user import UserRole
from agents.topic_admin import create_topics
from agents.topics import BY_NAME, TopicSpec
from streamer.core.settings import CoreSettings
from streamer.replay.errors import ReplayRefused
from streamer.replay.pinned import Pinned
from streamer.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.conftest import Broker

HOUR_MS = 3_600_000


def role() -> UserRole:
    return UserRole(
        CoreSettings(), topic=str, client={}, metrics=Metrics(), fail=lambda *_: None, item_partitions=1,
        commit_interval_s=0.1,
    )  # fmt: skip


async def make_catalog(broker: Broker, prefix: str, spec: TopicSpec, stocks: list[int]) -> None:
    """Topic ``catalog``, in which one item has these stocks, one after the other, each in a batch of its own."""
    settings = load(None, {}, {"kafka.bootstrap": broker.bootstrap, "topics.prefix": prefix}, check_files=False)
    await create_topics(broker.client, settings.topics, topics=[spec])
    async with AIOKafkaProducer(**broker.client) as producer:
        for stock in stocks:
            await producer.send_and_wait(prefix + "catalog", orjson.dumps({"title": "t", "stock": stock}), key=b"shoe")


@asynccontextmanager
async def pinned(broker: Broker, prefix: str, *, kept_ms: int, begins: int = 0) -> AsyncIterator[Pinned]:
    """For a micro-batch of an hour ago."""
    async with reader(broker.client) as consumer:
        await partitions_of(consumer, [prefix + "catalog"])
        yield Pinned(
            consumer,
            {TopicPartition(prefix + "catalog", 0): begins},
            lambda name: prefix + name,
            role,
            lag_kept_ms={"catalog": kept_ms},
            age_ms=HOUR_MS,
        )


def in_stock(following: Pinned) -> bool:
    items = following.role.known.items
    (dense,) = items.dense_many([int(key) for key in items.keys[: len(items)]])
    return bool(items.in_stock[dense])


async def test_replicas_go_forward_and_are_read_anew_to_go_back(broker: Broker, prefix: str) -> None:
    await make_catalog(broker, prefix, BY_NAME["catalog"], [1, 0, 1])
    async with pinned(broker, prefix, kept_ms=0) as following:
        assert not await following.move({"catalog": [1]})
        assert in_stock(following)
        assert not await following.move({"catalog": [2]})
        assert not in_stock(following)
        first = following.role
        assert await following.move({"catalog": [1]})
        assert following.role is not first
        assert in_stock(following)
        assert not await following.move({"catalog": [3]})
        assert in_stock(following)
        assert following.rows == 5


async def test_a_partition_that_was_cut_off_or_is_not_there_is_refused(broker: Broker, prefix: str) -> None:
    await make_catalog(broker, prefix, BY_NAME["catalog"], [1])
    async with pinned(broker, prefix, kept_ms=0, begins=7) as following:
        with pytest.raises(ReplayRefused, match=r"catalog:0 begins at offset 7, not at 0"):
            await following.move({"catalog": [9]})
    async with pinned(broker, prefix, kept_ms=0) as following:
        with pytest.raises(ReplayRefused, match=r"partition 1 of .*catalog, which has fewer now"):
            await following.move({"catalog": [0, 1]})


async def test_what_was_compacted_away_is_refused_unless_it_was_older_than_what_is_kept_whole(
    broker: Broker, prefix: str
) -> None:
    eager = {"segment.ms": "200", "min.cleanable.dirty.ratio": "0.0", "max.compaction.lag.ms": "1"}
    eager["min.compaction.lag.ms"] = "0"
    spec = TopicSpec("catalog", "one", "compact", None, "item", "a test's", eager)
    await make_catalog(broker, prefix, spec, [1, 0, 1, 0, 1, 0])
    deadline = time.monotonic() + 60
    while True:
        # Only a segment that is not written to any more is compacted, and it takes a record to begin the next.
        await make_catalog(broker, prefix, spec, [1])
        async with pinned(broker, prefix, kept_ms=0) as following:
            try:
                await following.move({"catalog": [4]})
            except ReplayRefused as refusal:
                told = str(refusal)
                break
            assert not in_stock(following)
        assert time.monotonic() < deadline, "the broker compacted nothing"
    assert f"{prefix}catalog:0:" in told
    assert "min.compaction.lag.ms" in told
    assert "topics.replay_window_hours" in told
    async with pinned(broker, prefix, kept_ms=HOUR_MS) as following:
        assert not await following.move({"catalog": [4]})
