"""Stage ①: records become events of this task's users, or are sent where they belong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.effects import DeadLetter
from streamer.core.parse import exceeded, parse
from streamer.core.partition import partition_of
from streamer.core.record import TICK, Rejection, changes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.effects import Effects
    from streamer.core.events import Event
    from streamer.core.parse import Limits
    from streamer.core.record import Record

INGRESS: Final = "ingress"
# A tombstone that lay on the wrong partition comes back on ingress.
_TOMBSTONES: Final = frozenset({"preferences", INGRESS})


class Reset(msgspec.Struct, frozen=True, gc=False):
    """A tombstone on ``preferences``: the user's preferences are unsaid, as of the record's Kafka timestamp."""

    user: str
    time: int


class Tick(msgspec.Struct, frozen=True, gc=False):
    """The stream time is at least this: the timers that are due by then fire.

    ``changes``: before that, changes of the catalog up to this offset are told to who watches the items; 0: none.
    """

    time: int
    changes: int = 0


def read(
    records: Sequence[Record], partition: int, partitions: int, limits: Limits, effects: Effects
) -> list[tuple[Record, Event | Reset | Tick]]:
    """What can be folded, in order. The rest goes to ``effects.rekeyed`` or ``effects.dead_letters``, counted.

    A record belongs here if its key is its event's user and the user is of this partition. A tick is no record of a
    topic, and is not counted.
    """
    readable: list[tuple[Record, Event | Reset | Tick]] = []
    for record in records:
        if record.topic == TICK:
            readable.append((record, Tick(record.offset, changes_of(record))))
            continue
        found = (_reset(record, limits) if record.value is None else None) or parse(record, limits)
        if isinstance(found, Rejection):
            _refuse(effects, record, found.reason, found.detail)
        elif record.key == found.user.encode() and partition_of(found.user, partitions) == partition:
            readable.append((record, found))
        elif record.topic == INGRESS:
            # It was sent here for this key and partition: sending it once more would go round for ever.
            _refuse(effects, record, "misrouted", "")
        else:
            effects.rekeyed.append((record, found.user))
            effects.counts["rekeyed"] += 1
    return readable


def _reset(record: Record, limits: Limits) -> Reset | Rejection | None:
    if record.value is None and record.key and record.topic in _TOMBSTONES:
        try:
            user = record.key.decode()
        except UnicodeDecodeError:
            return None
        return exceeded(record, user, limits) or Reset(user, record.timestamp)
    return None


def _refuse(effects: Effects, record: Record, reason: str, detail: str) -> None:
    effects.dead_letters.append(DeadLetter(record, reason, detail))
    effects.counts["dead_letter"] += 1
