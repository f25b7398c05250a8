"""Producers compress as they like, and so may workers: what is written compressed is read, and rebuilt from."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords

from tests.e2e.conftest import System, running, settings_for
from tests.e2e.test_pipeline import shop

if TYPE_CHECKING:
    from pathlib import Path

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def test_records_of_producers_that_compress_are_read_whatever_the_codec(system: System) -> None:
    for codec in CODECS:
        system.send(shop(users=5, events=4, name=codec), compression=codec)
    assert system.drain(len(CODECS) * 20)["applied"] == len(CODECS) * 20


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_worker_that_lost_its_disk_rebuilds_its_tables_from_compressed_changelogs(
    bootstrap: str, prefix: str, tmp_path: Path, codec: str
) -> None:
    settings = settings_for(bootstrap, prefix, tmp_path, runtime__compression=codec)
    rows = shop(users=20, events=10)
    with running(settings) as system:
        system.send(rows)
        system.drain(len(rows))
        system.supervisor.stop()
        assert asyncio.run(codecs_of(system, "changelog-user-profile")) == {CODECS[codec]}
        shutil.rmtree(settings.runtime.data_dir)
        # Every one of them was seen before: tables that were not rebuilt would take them for new.
        system.send(rows)
        system.start()
        counts = system.drain(2 * len(rows))
    assert (counts["applied"], counts["duplicate"]) == (len(rows), len(rows))


async def codecs_of(system: System, name: str) -> set[int]:
    """How the batches of a topic's first partition are compressed, by the protocol's numbers."""
    consumer = AIOKafkaConsumer(**system.client)
    await consumer.start()
    try:
        client, topic = consumer._client, system.topic(name)
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.position(TopicPartition(topic, 0))
        leader = client.cluster.leader_for_partition(TopicPartition(topic, 0))
        answer = await client.send(leader, FetchRequest(50, 1, 1 << 24, READ_COMMITTED, [(topic, [(0, 0, 1 << 24)])]))
    finally:
        await consumer.stop()
    records, found = MemoryRecords(answer.topics[0][1][0][-1]), set()
    while (batch := records.next_batch()) is not None:
        if not batch.is_control_batch:
            found.add(batch.compression_type)
    return found
