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


async def read(settings: Settings, campaign: str = "") -> Told:
    """The decisions, of one campaign if it is named, and all that tells what came of them."""
    found = Told()
    decode = msgspec.json.Decoder(Decided).decode
    async with reader(settings.kafka.client_kwargs()) as consumer:
        physical = settings.topics.physical
        async for record in to_end(consumer, await partitions_of(consumer, [physical("decisions")])):
            row = decode(record.value)
            found.decide(record.key.decode(), record.partition, row, keep=campaign in {"", row.c})
        needed = {place(row.o, partition) for _, partition, row in found.decided}
        for topic in _EVENTS:
            async for record in to_end(consumer, await partitions_of(consumer, [physical(topic)])):
                taken = Record(topic, record.partition, record.offset, record.timestamp, record.key, record.value,
                               tuple(record.headers))  # fmt: skip
                event = parse(taken, settings.core.limits)
                if not isinstance(event, Event):
                    continue
                found.add(event)
                at = (topic, record.partition, record.offset)
                if at in needed:
                    found.times[at] = event.time
    return found
