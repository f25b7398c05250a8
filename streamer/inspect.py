"""``streamer inspect``: what the system knows of one user, one item, or the model, read from its own topics.

A table's changelog is the table, so its last committed row under a key is what the task holds; no worker need be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import TopicPartition

from agents.clients import read_topic, reader, to_end
from agents.roles.item import ItemRole
from agents.roles.user import UserRole
from streamer.core.encode import rfc3339
from streamer.core.events import group_key, item_key
from streamer.core.hours import visits
from streamer.core.items.rows import IndexRow
from streamer.core.items.state import item_partition, row_key
from streamer.core.models import registry
from streamer.core.models.logistic import from_block
from streamer.core.models.model import CHALLENGER, CHAMPION, ModelRefused
from streamer.core.packed import AFFINITY, BOUGHT, RECENT
from streamer.core.partition import partition_of
from streamer.core.policy.state import PolicyState
from streamer.core.predictions.registry import BY_NAME
from streamer.core.predictions.served import PREDICT, Foresight, Served, block_names
from streamer.core.profile import Profile
from streamer.core.segments.portrait import NAMES, ONE
from streamer.core.segments.served import CENTRES, ServedSegments, decode_centres
from streamer.core.tags import tags
from streamer.core.vectors.block import VECTOR, decode_block

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.core.policy.state import Armed
    from streamer.core.settings import CoreSettings
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
    """Profile, what is predicted from it, standing with the policy, timers, and how many fingerprints are remembered.

    Empty when the user is unknown.
    """
    key = user_id.encode()
    partition = partition_of(user_id, settings.topics.partitions)
    found: dict[str, Any] = {}
    known: dict[int, str] = {}
    for spec in UserRole.tables[:3]:
        topic = settings.topics.physical(f"changelog-user-{spec.name}")
        row = (await last_rows(settings.kafka.client_kwargs(), topic, partition, {key})).get(key)
        if row is None:
            continue
        value = spec.codec.decode(row)
        found[spec.name] = f"{len(row)} bytes" if isinstance(value, bytes) else named(value)
        found[f"{spec.name}_row_bytes"] = len(row)
        if isinstance(value, Profile):
            known = await words(settings)
            found["profile"] = described(value, known)
            blocks = await last_rows(settings.kafka.client_kwargs(), settings.topics.physical("model"), 0)
            found["predictions"] = foretold(value, served(blocks), settings.core, known)
            found |= segment_of(value, blocks, settings.core)
        elif isinstance(value, PolicyState):
            found["policy"]["armed"] = [waiting(timer, known) for timer in value.armed]
    return found and {"user": user_id, "partition": partition, **found}


async def words(settings: Settings) -> dict[int, str]:
    """The item ids, categories and brands behind the keys, as far as the item index names them."""
    known: dict[int, str] = {}
    for record in await read_topic(settings.kafka.client_kwargs(), settings.topics.physical("item-index")):
        if record.value is not None:
            row = msgspec.msgpack.decode(record.value, type=IndexRow)
            known[int(record.key, 16)] = row.item
            known |= {group_key(word): word for word in row.words[:2] if word}
    return known


def described(profile: Profile, known: Mapping[int, str]) -> dict[str, Any]:
    """A profile for people: names for keys where they are known, and the tags that held at its last event."""

    def name(key: int) -> str:
        return known.get(key, f"#{key:x}") if key else ""

    shown: dict[str, Any] = named(profile)
    for part, layout in (("items", RECENT), ("categories", AFFINITY), ("brands", AFFINITY), ("purchased", BOUGHT)):
        shown[part] = [row._asdict() for row in layout.rows(shown[part])]
    for part in ("items", "categories", "brands", "purchased"):
        for row in shown[part]:
            row["key"] = name(row["key"])
    for row in shown["items"]:
        row["category"], row["brand"] = name(row["category"]), name(row["brand"])
    shown["hours"] = {f"{hour:02d}:00Z": count for hour, count in visits(profile.hours).items()}
    return shown | {"tags": tags(profile, profile.last_ms, lambda key: known.get(key, ""))}


def waiting(timer: Armed, known: Mapping[int, str]) -> dict[str, Any]:
    """A timer for people: when it is due, what armed it, and the items it is about."""
    return {
        "campaign": timer.campaign,
        "due": rfc3339(timer.due_ms),
        "armed_by": f"{timer.type} {timer.id}",
        "origin": f"{timer.topic}:{timer.offset}",
        "event_time": rfc3339(timer.time_ms),
        "items": [known.get(key, f"#{key:x}") for key in timer.keys],
        "deferred": timer.waits,
    }


def served(blocks: Mapping[bytes, bytes]) -> Served:
    """The predictors' models as last published."""
    models = Served()
    for key, value in blocks.items():
        models.apply(key.decode(errors="replace"), value)
    return models


def segment_of(profile: Profile, blocks: Mapping[bytes, bytes], core: CoreSettings) -> dict[str, int]:
    """The segment a shopper was in as of their last event; nothing without segments."""
    segments = ServedSegments(core.segments)
    if (block := blocks.get(CENTRES.encode())) is not None:
        segments.apply(CENTRES, block)
    return {"segment": segments.segment(profile, profile.last_ms)} if len(segments) else {}


def foretold(profile: Profile, models: Served, core: CoreSettings, known: Mapping[int, str]) -> dict[str, Any]:
    """What is predicted of a shopper as of their last event: a probability, or by choice, the likeliest first."""
    foresight = Foresight(profile, profile.last_ms, models, core)
    told: dict[str, Any] = {}
    for name, predictor in BY_NAME.items():
        found = foresight.of(name)
        ordered = sorted(found.items(), key=lambda choice: (-choice[1], choice[0]))
        by_word = {known.get(key, f"#{key:x}"): round(p, 6) for key, p in ordered}
        told[name] = by_word if predictor.choices else round(foresight.chance(name), 6)
    return told


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
    if row is None:
        return {}
    known = await words(settings)
    shown = named(spec.codec.decode(row))
    for part in ("pairs", "older_pairs"):
        strongest = sorted(shown.pop(part).items(), key=lambda pair: -pair[1])
        shown[part] = {known.get(neighbour, f"#{neighbour:016x}"): amount for neighbour, amount in strongest}
    return {"item": item_id, "partition": partition, **shown}


async def model(settings: Settings) -> dict[str, Any]:
    """The published blocks of the model: parameters by feature name, and live metrics. Of vectors, how many."""
    rows = await last_rows(settings.kafka.client_kwargs(), settings.topics.physical("model"), 0)
    blocks = {key.decode(): value for key, value in sorted(rows.items())}
    vectors = [value for key, value in blocks.items() if key.startswith(VECTOR)]
    shown = {key: readable(key, value) for key, value in blocks.items() if not key.startswith(VECTOR)}
    return shown | ({"vectors": sum(len(decode_block(value)[0]) for value in vectors)} if vectors else {})


def named(value: Any) -> Any:
    """A struct's fields by name, whatever form it is stored in; what is no struct stays as it is."""
    if isinstance(value, msgspec.Struct):
        return {name: named(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (list, tuple)):
        return [named(entry) for entry in value]
    return value


def readable(key: str, block: bytes) -> Any:
    """A block of topic ``model``: parameters by feature name, or measures."""
    try:
        if key.startswith(PREDICT) and key.removeprefix(PREDICT) in BY_NAME:
            names = block_names(BY_NAME[key.removeprefix(PREDICT)])
            predicts = from_block(block, names)
            weights = dict(zip(names, predicts.weights.tolist(), strict=True))
            return {"version": predicts.version, "bias": predicts.bias, "weights": weights}
        if key == CENTRES:
            centres = decode_centres(block)
            return {
                "learned": centres.learned,
                "born": f"{centres.born:016x}",
                "centres": [
                    {name: round(value / ONE, 3) for name, value in zip(NAMES, centre, strict=True)}
                    for centre in centres.numbers().tolist()
                ],
            }
        return registry.describe(block) if key.startswith((CHAMPION, CHALLENGER)) else msgspec.json.decode(block)
    except (ModelRefused, ValueError) as refusal:
        return f"{len(block)} bytes that cannot be read: {refusal}"
