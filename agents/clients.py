"""Kafka clients as this program uses them, and reading topics from end to end, outside every consumer group."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from aiokafka import ConsumerRecord
    from aiokafka.client import AIOKafkaClient


#: After metadata was asked for in vain.
METADATA_PAUSE_S: Final = 0.1


def paced(client: AIOKafkaClient) -> None:
    """Have a client that cannot reach its cluster ask it for its metadata now and then.

    By itself aiokafka asks again as soon as it failed, thousands of times a second, with a line in the log each time.
    """
    update = client._metadata_update  # noqa: SLF001 - what all its ways of asking come down to

    async def slowly(cluster: Any, topics: Any) -> bool:
        updated: bool = await update(cluster, topics)
        if not updated:
            await asyncio.sleep(METADATA_PAUSE_S)
        return updated

    client._metadata_update = slowly  # noqa: SLF001


@asynccontextmanager
async def reader(client: Mapping[str, Any], **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer of no group, ``read_committed`` unless ``options`` say otherwise. Stopped at the end."""
    defaults = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    consumer = AIOKafkaConsumer(**client, group_id=None, enable_auto_commit=False, **(defaults | options))
    paced(consumer._client)  # noqa: SLF001 - a consumer does not show its client
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def partitions_of(consumer: AIOKafkaConsumer, topics: Iterable[str]) -> list[TopicPartition]:
    """Every partition of ``topics`` (physical names), topic by topic, in order of number.

    Waits for topics just created; raises ``UnknownTopicOrPartitionError`` when one stays unknown.
    """
    found: list[TopicPartition] = []
    for topic in topics:
        numbers = await consumer._client._wait_on_metadata(topic)  # noqa: SLF001 - partitions_for_topic() does not wait
        found += [TopicPartition(topic, number) for number in sorted(numbers)]
    return found


async def to_end(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]
) -> AsyncIterator[ConsumerRecord[Any, Any]]:
    """The records of ``partitions`` from their beginnings to where they end now; in order within a partition."""
    consumer.assign(partitions)
    begins = await consumer.beginning_offsets(partitions)
    ends = await consumer.end_offsets(partitions)
    for partition, offset in begins.items():
        consumer.seek(partition, offset)
    while behind := [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
        for records in (await consumer.getmany(*behind, timeout_ms=200, max_records=10_000)).values():
            for record in records:
                yield record


async def read_topic(client: Mapping[str, Any], topic: str, **options: Any) -> list[ConsumerRecord[Any, Any]]:
    """Everything in ``topic`` (physical name) by partition and offset; ``options`` as for ``reader``."""
    async with reader(client, **options) as consumer:
        found = [record async for record in to_end(consumer, await partitions_of(consumer, [topic]))]
    return sorted(found, key=lambda record: (record.partition, record.offset))
