"""Records whose header names are not UTF-8, as the broker keeps them and a consumer of ours reads them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka.consumer.fetcher
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords

from agents.header_names import Records, take_any
from agents.topic_admin import create_topics
from agents.topics import BY_NAME, TopicSettings

if TYPE_CHECKING:
    from tests.conftest import Broker


class Name(str):
    """A name that is sent as other bytes, as clients in C can send it."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"trace\xff"


def batch(values: list[bytes], *, bad_at: int = -1, compression: int = 0) -> _DefaultRecordBatchBuilderPy:
    """Records of headers, one with a bad name."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 1 << 20)
    for at, value in enumerate(values):
        headers: list[tuple[str, bytes | None]] = [("trace", b"\xc3\xa9"), (Name("x") if at == bad_at else "é", None)]
        assert builder.append(at, 1_772_366_400_000 + at, b"k", value, headers)
    return builder


@pytest.mark.parametrize("compression", [0, 1])
def test_a_batch_with_a_bad_name_is_read_whole_and_others_as_ever(compression: int) -> None:
    """In one answer of several batches."""
    values = [b"a", b"b", b"c"]
    good, bad = batch(values, compression=compression).build(), batch(values, bad_at=1, compression=compression).build()
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(bytes(bad)).next_batch())
    records = Records(bytes(good + bad + good))
    read = []
    while records.has_next():
        found = records.next_batch()
        assert found.validate_crc()
        read.append([(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in found])
    assert records.next_batch() is None
    assert len(read) == 3
    assert read[0] == read[2] == [(*one[:4], [("trace", b"\xc3\xa9"), ("é", None)]) for one in read[1]]
    assert [one[4][1] for one in read[1]] == [("é", None), ("trace\\xff", None), ("é", None)]


async def test_one_bad_name_does_not_stop_a_partition(broker: Broker, prefix: str) -> None:
    """The broker takes it; without ``take_any`` no consumer of aiokafka gets past it."""
    settings = TopicSettings(prefix=prefix, partitions=1)
    await create_topics(broker.client, settings, topics=[BY_NAME["browse"]])
    topic = settings.physical("browse")
    async with AIOKafkaProducer(**broker.client) as producer:
        await producer.send_and_wait(topic, b"before", partition=0)
        poison = producer.create_batch()
        poison._builder = batch([b"poison"], bad_at=0)
        poison._relative_offset = 1
        await (await producer.send_batch(poison, topic, partition=0))
        await producer.send_and_wait(topic, b"after", partition=0)
    with pytest.raises(UnicodeDecodeError):
        await read(broker, topic)
    usual = aiokafka.consumer.fetcher.MemoryRecords
    take_any()
    try:
        found = await read(broker, topic)
    finally:
        aiokafka.consumer.fetcher.MemoryRecords = usual
    assert [record.value for record in found] == [b"before", b"poison", b"after"]
    assert dict(found[1].headers) == {"trace": b"\xc3\xa9", "trace\\xff": None}


async def read(broker: Broker, topic: str) -> list[Any]:
    """The three records of partition 0."""
    consumer = AIOKafkaConsumer(**broker.client, isolation_level="read_committed")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        found: list[Any] = []
        async with asyncio.timeout(60):
            while len(found) < 3:
                for records in (await consumer.getmany(timeout_ms=1000)).values():
                    found += records
        return found
    finally:
        await consumer.stop()
