"""Reads what ``decisions`` puts together, from the topics, read committed and to their present ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from agents.clients import partitions_of, reader, to_end
from streamer.core.events import Event
from streamer.core.parse import parse
from streamer.core.record import Record
from streamer.ope.decisions import Decided, Told, place

if TYPE_CHECKING:
    from streamer.settings import Settings

#: Topics whose events are decided on, or tell what came of it.
_EVENTS: Final = ("browse", "search", "purchase", "feedback", "ingress")


#: Those that tell what came of it, wherever the event decided on lies.
_OUTCOMES: Final = frozenset({"purchase", "feedback"})


async def read(settings: Settings, campaign: str = "", version: str = "") -> Told:
    """The decisions, of one campaign and version of the policy if they are named, and all that tells what came of
    them.
    """
    found = Told()
    decode = msgspec.json.Decoder(Decided).decode
    async with reader(settings.kafka.client_kwargs()) as consumer:
        physical = settings.topics.physical
        async for record in to_end(consumer, await partitions_of(consumer, [physical("decisions")])):
            row = decode(record.value)
            found.decide(
                record.key.decode(), record.partition, row, keep=campaign in {"", row.c} and version in {"", row.v}
            )
        needed = {place(row.o, partition) for _, partition, row in found.decided}
        emptied = False
        for topic in _EVENTS:
            partitions = await partitions_of(consumer, [physical(topic)])
            first_ms: dict[int, int] = {}
            async for record in to_end(consumer, partitions):
                first_ms.setdefault(record.partition, record.timestamp)
                taken = Record(topic, record.partition, record.offset, record.timestamp, record.key, record.value,
                               tuple(record.headers))  # fmt: skip
                event = parse(taken, settings.core.limits)
                if not isinstance(event, Event):
                    continue
                found.add(event)
                at = (topic, record.partition, record.offset)
                if at in needed:
                    found.times[at] = event.time
            if topic in _OUTCOMES:
                begins = await consumer.beginning_offsets(partitions)
                gone = [tp.partition for tp, offset in begins.items() if offset > 0]
                emptied |= any(partition not in first_ms for partition in gone)
                known = [first_ms[partition] for partition in gone if partition in first_ms]
                found.complete_ms = max([found.complete_ms, *known])
    if emptied:  # of a partition with nothing left in it nobody knows when that was
        found.complete_ms = max(found.complete_ms, found.last_ms)
    return found
