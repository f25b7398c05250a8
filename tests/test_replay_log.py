"""A log says whether something was compacted out of it; a marker or an aborted transaction is not that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from agents.clients import partitions_of, reader
from agents.topic_admin import create_topics
from agents.topics import TopicSpec
from streamer.replay.log import Log
from streamer.settings import load

if TYPE_CHECKING:
    from tests.conftest import Broker

PLACE = TopicPartition("item-index", 0)


def batch(base: int, deltas: list[int]) -> bytes:
    """A record batch at an offset, with records at these distances from it."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 16,
    )  # fmt: skip
    for delta in deltas:
        assert builder.append(delta, timestamp=1, key=b"k", value=b"v", headers=[]) is not None
    made = bytearray(builder.build())
    made[0:8] = base.to_bytes(8, "big")  # not under the checksum
    return bytes(made)


def taken(position: int, *batches: bytes) -> Log:
    """A log that was given an answer of these batches."""
    log = Log(AIOKafkaConsumer(), PLACE, position)
    log._take(b"".join(batches), [], position)
    return log


async def test_a_log_without_gaps_has_no_hole() -> None:
    log = taken(0, batch(0, [0, 1, 2]), batch(3, [0]))
    assert (log.hole, [r.offset for r in await log.until(4)], log.position) == (None, [0, 1, 2, 3], 4)


async def test_reading_from_within_a_batch_makes_no_hole() -> None:
    log = taken(1, batch(0, [0, 1, 2]))
    assert (log.hole, [r.offset for r in await log.until(3)]) == (None, [1, 2])


async def test_a_record_missing_in_a_batch_or_between_two_is_a_hole() -> None:
    assert taken(0, batch(0, [0, 2])).hole == 1
    assert taken(0, batch(0, [0]), batch(5, [0])).hole == 1
    assert taken(0, batch(4, [0])).hole == 0


async def test_records_are_handed_out_up_to_an_offset_and_exactly() -> None:
    log = taken(0, batch(0, [0, 1, 2, 3, 4]))
    assert [r.offset for r in await log.until(2)] == [0, 1]
    assert [r.offset for r in await log.exactly(2, 3)] == [2, 3]
    assert log.position == 4


async def test_markers_and_aborted_transactions_are_no_holes(broker: Broker, prefix: str) -> None:
    settings = load(None, {}, {"kafka.bootstrap": broker.bootstrap, "topics.prefix": prefix}, check_files=False)
    spec = TopicSpec("log", "one", "compact", None, "any", "a test's")
    await create_topics(broker.client, settings.topics, topics=[spec])
    place = TopicPartition(prefix + "log", 0)
    async with AIOKafkaProducer(**broker.client, transactional_id=f"{prefix}writer") as producer:
        for n in range(6):
            await producer.begin_transaction()
            await asyncio.gather(
                *[await producer.send(place.topic, b"v", key=f"{n}-{m}".encode(), partition=0) for m in range(3)]
            )
            await (producer.abort_transaction() if n % 3 == 1 else producer.commit_transaction())
    async with reader(broker.client) as consumer:
        await partitions_of(consumer, [place.topic])
        end = (await consumer.end_offsets([place]))[place]
        log = Log(consumer, place, 0)
        found = []
        while some := await log.until(end):
            found += some
    assert log.hole is None
    assert log.position == end == 24
    assert [r.key for r in found] == [f"{n}-{m}".encode() for n in (0, 2, 3, 5) for m in range(3)]
