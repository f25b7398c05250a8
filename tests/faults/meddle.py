"""What tests do to a cluster behind the system's back: foreign records, deleted records; and what its groups say."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from agents.topics import BY_NAME

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

Client = dict[str, str]
Row = tuple[str, int, bytes | None, bytes | None]


@asynccontextmanager
async def _admin(client: Client) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def send(client: Client, prefix: str, rows: Sequence[Row]) -> None:
    """Put (logical topic, partition, key, value) rows where nobody should."""

    async def produce() -> None:
        async with AIOKafkaProducer(**client) as producer:
            for topic, partition, key, value in rows:
                await producer.send_and_wait(prefix + topic, value, key=key, partition=partition)

    asyncio.run(produce())


def truncate(client: Client, prefix: str, before: Mapping[tuple[str, int], int]) -> None:
    """Delete the records of (logical topic, partition) before an offset.

    Kafka refuses that for a topic that is only compacted; somebody who means harm changes its policy first.
    """
    wanted = {TopicPartition(prefix + t, p): RecordsToDelete(before_offset=o) for (t, p), o in before.items()}
    compacted = {topic for topic, _ in before if BY_NAME[topic].cleanup == "compact"}

    async def delete() -> None:
        async with _admin(client) as admin:
            await _set_policy(admin, prefix, compacted, {"cleanup.policy": "delete", "retention.ms": "-1"})
            begins = await admin.delete_records(wanted)
            assert all(begins[tp] >= one.before_offset for tp, one in wanted.items()), begins
            await _set_policy(admin, prefix, compacted, {})

    asyncio.run(delete())


async def _set_policy(admin: AIOKafkaAdminClient, prefix: str, topics: Iterable[str], other: dict[str, str]) -> None:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, prefix + topic, configs=BY_NAME[topic].configs() | other)
        for topic in topics
    ]
    if resources:
        await admin.alter_configs(resources)


def group_offsets(client: Client, prefix: str, roles: Iterable[str]) -> dict[tuple[str, str, int], int]:
    """What the roles' groups have committed, by (role, logical topic, partition)."""

    async def ask() -> dict[tuple[str, str, int], int]:
        async with _admin(client) as admin:
            return {
                (role, tp.topic.removeprefix(prefix), tp.partition): meta.offset
                for role in roles
                for tp, meta in (await admin.list_consumer_group_offsets(f"{prefix}{role}")).items()
            }

    return asyncio.run(ask())
