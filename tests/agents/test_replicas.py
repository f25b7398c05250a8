"""Replicas that pass over rows have what those have that apply every row, at the offsets that the journal pins."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.clients import partitions_of, read_topic, reader
from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.replicas import supersede
from agents.roles.user import UserRole
from agents.topic_admin import create_topics
from agents.topics import BY_NAME, REPLICATED, TopicSettings
from agents.transaction import ExactlyOnce
from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.events import item_key
from streamer.core.index import ItemIndex
from streamer.core.items.rows import index_row, tells_all
from streamer.core.items.state import row_key
from streamer.core.retrieval_settings import ItemSettings
from streamer.core.settings import CoreSettings
from streamer.replay.pinned import Pinned
from tests.core.test_index import described, state
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from tests.conftest import Broker

NAMES = [f"i{number}" for number in range(4)]
KEYS = {name: row_key(item_key(name)).encode() for name in NAMES}


def published(name: str, trend: int, category: str, *, nameless: bool = False) -> bytes:
    """A row as the item role publishes it; ``nameless`` while only neighbours have mentioned the item."""
    made = state(name, trend, trend, category)
    return index_row(msgspec.structs.replace(made, item="") if nameless else made, ItemSettings())


#: Of an item: its key as it is written, and as only somebody else would write it.
SPELLED = {name: [key, key, key.upper(), b"0x" + key] for name, key in KEYS.items()}
OWN = st.sampled_from(NAMES).flatmap(
    lambda name: st.tuples(
        st.sampled_from(SPELLED[name]),
        st.one_of(
            st.builds(
                published,
                st.just(name),
                st.integers(1, 1 << 20),
                st.sampled_from(["shoes", "hats"]),
                nameless=st.booleans(),
            ),
            st.none(),
        ),
    )
)
STRANGE = st.tuples(
    st.sampled_from([*KEYS.values(), None, b"of no item"]),
    st.sampled_from([b"no row", msgspec.msgpack.encode([9, "of another version"]), published("i0", 5, "hats")]),
)
ROWS = st.lists(st.one_of(OWN, OWN, OWN, STRANGE), max_size=30)


def into(index: ItemIndex) -> Any:
    """What applies one record to ``index``, as the user role does."""

    def apply(key: bytes | None, value: bytes | None) -> None:
        with contextlib.suppress(ValueError):
            index.apply_row(int(key or b"", 16), value)

    return apply


@given(rows=ROWS)
@settings(max_examples=examples(200))
def test_rows_passed_over_make_no_difference(rows: list[tuple[Any, bytes | None]]) -> None:
    whole, few = ItemIndex(), ItemIndex()
    for key, value in rows:
        into(whole)(key, value)
    newest: dict[bytes, bytes | None] = {}
    supersede(rows, newest, into(few), tells_all)
    for key, value in newest.items():
        into(few)(key, value)
    assert described(few) == described(whole)


def test_of_a_key_s_rows_only_the_last_that_tells_all_is_applied() -> None:
    rows: list[tuple[bytes, bytes | None]] = [(KEYS["i1"], published("i1", trend, "shoes")) for trend in range(1, 9)]
    applied: list[Any] = []
    newest: dict[bytes, bytes | None] = {}
    assert supersede(rows, newest, lambda *row: applied.append(row), tells_all) == 0
    assert newest == {KEYS["i1"]: rows[-1][1]}
    assert supersede([(KEYS["i1"], None)], newest, lambda *row: applied.append(row), tells_all) == 2
    assert applied == [rows[-1], (KEYS["i1"], None)]
    assert newest == {}


def role_of(prefix: str, broker: Broker, *campaigns: str) -> UserRole:
    """A user role as a worker makes it, with these campaigns on."""

    def fail(what: str, exc: BaseException) -> None:
        raise AssertionError(what) from exc

    return UserRole(
        CoreSettings(campaigns=load(CampaignSettings(on=campaigns or ("next",)))),
        topic=TopicSettings(prefix=prefix).physical,
        client=broker.client,
        metrics=Metrics(role="user"),
        fail=fail,
        item_partitions=2,
        commit_interval_s=0.1,
    )


def test_a_worker_that_starts_stands_where_a_replay_gets_to(broker: Broker, prefix: str) -> None:
    topics = TopicSettings(prefix=prefix, item_partitions=2)
    names = REPLICATED

    async def commit(committer: ExactlyOnce, rows: Sequence[tuple[str, int, bytes, bytes | None]]) -> None:
        outbox = Outbox()
        for topic, partition, key, value in rows:
            outbox.add(topics.physical(topic), partition, key, value)
        await committer.commit(outbox, {})

    async def scenario() -> None:
        await create_topics(broker.client, topics, topics=[BY_NAME[name] for name in names])
        committer = ExactlyOnce(
            broker.client, transactional_id=f"{prefix}item", group=f"{prefix}item", timeout_ms=10_000
        )
        await committer.start()
        for trend in range(1, 30):
            rows = [
                ("item-index", n // 3, KEYS[name], published(name, trend * (n + 1), "shoes", nameless=trend < 3))
                for n, name in enumerate(NAMES)
            ]
            await commit(committer, rows)
        await commit(committer, [("item-index", 0, KEYS["i1"], None), ("item-index", 0, KEYS["i0"], b"no row")])
        await commit(committer, [("catalog", 0, b"i3", b'{"title": "told by the catalog"}')])
        live = role_of(prefix, broker)
        await live.replicas().start()
        await asyncio.wait_for(live.replicas().ready.wait(), 30)
        at_start = live.replicas().positions()
        async with reader(broker.client) as consumer:
            for name in names:
                partitions = await partitions_of(consumer, [topics.physical(name)])
                ends = await consumer.end_offsets(partitions)
                assert at_start[name] == [ends[partition] for partition in partitions]
        before = described(live.known.items)
        # It goes on from there, record by record.
        await commit(committer, [("item-index", 0, KEYS["i1"], published("i1", 77, "hats"))])
        while live.replicas().positions() == at_start:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)
        later = live.replicas().positions()
        await live.replicas().stop()
        await committer.close()

        async with reader(broker.client) as consumer:
            begins = await beginnings(consumer, [topics.physical(name) for name in names])
            replayed = Pinned(
                consumer, begins, topics.physical, lambda: role_of(prefix, broker), lag_kept_ms={}, age_ms=0
            )
            assert not await replayed.move(at_start)
            assert described(replayed.role.known.items) == before
            assert not await replayed.move(later)
            assert described(replayed.role.known.items) == described(live.known.items)
        every = ItemIndex()
        for record in await read_topic(broker.client, topics.physical("item-index")):
            into(every)(record.key, record.value)
        assert described(every)["tops"] == described(live.known.items)["tops"]

    asyncio.run(scenario())


def test_changes_of_the_catalog_lie_at_the_same_offsets_for_all_who_read_it(broker: Broker, prefix: str) -> None:
    """For a worker that was there, one that starts later, and a replay: a task goes on with any of them."""
    topics = TopicSettings(prefix=prefix)

    async def tell(committer: ExactlyOnce, price: float, stock: int) -> None:
        outbox = Outbox()
        row = json.dumps({"price": price, "stock": stock}).encode()
        outbox.add(topics.physical("catalog"), 0, b"lamp", row)
        await committer.commit(outbox, {})

    async def until(role: UserRole, position: int) -> None:
        while role.known.items.changes.position < position:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.02)

    async def scenario() -> None:
        await create_topics(broker.client, topics, topics=[BY_NAME[name] for name in REPLICATED])
        committer = ExactlyOnce(broker.client, transactional_id=f"{prefix}c", group=f"{prefix}c", timeout_ms=10_000)
        await committer.start()
        for price, stock in ((10.0, 1), (9.0, 1), (9.0, 0)):
            await tell(committer, price, stock)
        first, second = (role_of(prefix, broker, "price-drop") for _ in range(2))
        off = role_of(prefix, broker)
        for role in (first, off):
            await role.replicas().start()
            await asyncio.wait_for(role.replicas().ready.wait(), 30)
        before = first.replicas().positions(), list(first.known.items.changes.since(0))
        for price, stock in ((8.0, 0), (8.0, 3), (12.0, 3), (11.0, 2)):
            await tell(committer, price, stock)
        async with reader(broker.client) as consumer:
            (place,) = await partitions_of(consumer, [topics.physical("catalog")])
            end = (await consumer.end_offsets([place]))[place]
        await asyncio.wait_for(until(first, end), 30)
        after = first.replicas().positions(), list(first.known.items.changes.since(0))
        await second.replicas().start()
        await asyncio.wait_for(second.replicas().ready.wait(), 30)
        for role in (first, second, off):
            await role.replicas().stop()
        await committer.close()
        # A record and its transaction's marker are two offsets.
        assert [(change.offset, change.kind) for change in before[1]] == [(2, "cheaper")]
        assert [(change.offset, change.kind) for change in after[1]] == [(8, "back"), (12, "cheaper")]
        assert (list(second.known.items.changes.since(0)), second.known.items.changes.position) == (after[1], end)
        assert list(off.known.items.changes.since(0)) == []
        async with reader(broker.client) as consumer:
            begins = await beginnings(consumer, [topics.physical(name) for name in REPLICATED])
            make = lambda: role_of(prefix, broker, "price-drop")  # noqa: E731
            replayed = Pinned(consumer, begins, topics.physical, make, lag_kept_ms={}, age_ms=0)
            for positions, changes in (before, after):
                await replayed.move(positions)
                assert list(replayed.role.known.items.changes.since(0)) == changes
                assert replayed.role.known.items.changes.position == positions["catalog"][0]

    asyncio.run(scenario())


async def beginnings(consumer: AIOKafkaConsumer, topics: list[str]) -> dict[TopicPartition, int]:
    """Where each partition begins."""
    found: dict[TopicPartition, int] = await consumer.beginning_offsets(await partitions_of(consumer, topics))
    return found
