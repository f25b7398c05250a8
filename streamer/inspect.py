"""``streamer inspect``: what the system knows of one user, one item, or the model, read from its own topics.

A table's changelog is the table, so its last committed row under a key is what the task holds; no worker need be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import TopicPartition

from agents.clients import reader, to_end
from agents.roles.item import ItemRole
from agents.roles.user import UserRole
from streamer.core.events import item_key
from streamer.core.items import item_partition, row_key
from streamer.core.partition import partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.settings import Settings


async def last_rows(
    client: Mapping[str, Any], topic: str, partition: int, keys: set[bytes] | None = None
) -> dict[bytes, bytes]:
    """The newest committed value of each of ``keys`` (None: of every key) in one partition. Tombstones are left out."""
    rows: dict[bytes, bytes] = {}
    async with reader(client) as consumer:
        async for record in to_end(consumer, [TopicPartition(topic, partition)]):
            if keys is not None and record.key not in keys:
                continue
            if record.value is None:
                rows.pop(record.key, None)
            else:
                rows[record.key] = record.value
    return rows


async def user(settings: Settings, user_id: str) -> dict[str, Any]:
    """Profile, standing with the policy, and how many fingerprints are remembered. Empty when the user is unknown."""
    key = user_id.encode()
    partition = partition_of(user_id, settings.topics.partitions)
    found: dict[str, Any] = {}
    for spec in UserRole.tables[:3]:
        topic = settings.topics.physical(f"changelog-user-{spec.name}")
        row = (await last_rows(settings.kafka.client_kwargs(), topic, partition, {key})).get(key)
        if row is None:
            continue
        value = spec.codec.decode(row)
        found[spec.name] = f"{len(row)} bytes" if isinstance(value, bytes) else named(value)
        found[f"{spec.name}_row_bytes"] = len(row)
    return found and {"user": user_id, "partition": partition, **found}


async def item(settings: Settings, item_id: str) -> dict[str, Any]:
    """Counters, attributes and neighbours of an item. Empty when the item is unknown."""
    key = item_key(item_id)
    partition = item_partition(key, settings.topics.item_partitions)
    spec = ItemRole.tables[0]
    raw = row_key(key).encode()
    row = (
        await last_rows(
            settings.kafka.client_kwargs(), settings.topics.physical("changelog-item-items"), partition, {raw}
        )
    ).get(raw)
    return {} if row is None else {"item": item_id, "partition": partition, **named(spec.codec.decode(row))}


async def model(settings: Settings) -> dict[str, Any]:
    """The published blocks of the model: parameters by feature name, and live metrics."""
    rows = await last_rows(settings.kafka.client_kwargs(), settings.topics.physical("model"), 0)
    return {key.decode(): readable(value) for key, value in sorted(rows.items())}


def named(value: Any) -> Any:
    """A struct's fields by name, whatever form it is stored in; what is no struct stays as it is."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (list, tuple)):
        return [named(entry) for entry in value]
    return value


def readable(block: bytes) -> Any:
    """A block as JSON if it is that, otherwise its size."""
    try:
        return msgspec.json.decode(block)
    except msgspec.DecodeError:
        return f"{len(block)} bytes"
