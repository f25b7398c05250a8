"""The inbound contract as a file, one CloudEvents envelope a line; and an event written as such an envelope."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, pairwise
from math import isnan
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from streamer.core.encode import rfc3339
from streamer.core.events import EVENT_TYPES, Event, Line, Preferences
from streamer.core.parse import parse
from streamer.core.record import Record, Rejection
from streamer.readers.base import LIMITS, Reader, Survey, fingerprint
from streamer.readers.times import LATEST_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class EnvelopeReader(Reader):
    """What ``parse`` accepts, foreign shapes included, one a line. An event without an id is given ``name:row``.

    Rows are not joined: an envelope is an event already. Refused lines are counted under the reason codes of ``parse``.
    """

    format = "jsonl"
    says = 'JSON lines, one inbound event each: {"specversion":"1.0","id":…,"source":…,"type":…,"time":…,"subject":…,…}'

    @classmethod
    def recognises(cls, cells: tuple[str, ...]) -> bool:
        """Whether the first line begins a JSON object."""
        return bool(cells) and cells[0].startswith("{")

    def __iter__(self) -> Iterator[Event]:
        """The events, in time order."""
        in_order = self.survey.in_order
        events: Iterable[Event] = self._read(Counter())
        if not in_order:
            events = sorted(events, key=attrgetter("time"))
        for _, moment in groupby(events, attrgetter("time")):
            users: dict[str, list[Event]] = {}
            for event in moment:
                users.setdefault(event.user, []).append(event)
            for followed in users.values():
                yield from followed

    def _survey(self) -> Survey:
        skipped: Counter[str] = Counter()
        times = [event.time for event in self._read(skipped)]
        in_order = all(earlier <= later for earlier, later in pairwise(times))
        return Survey(
            len(times), len(times) + skipped.total(), min(times, default=0), max(times, default=0), in_order, skipped
        )

    def _read(self, skipped: Counter[str]) -> Iterator[Event]:
        number = 0
        with self.source.open() as lines:
            for line in lines:
                if not (text := line.removeprefix(b"\xef\xbb\xbf").strip()):
                    continue
                number += 1
                # No time is ahead of a file, hence the late timestamp.
                event = parse(Record("", 0, 0, LATEST_MS, None, text), LIMITS)
                if isinstance(event, Rejection):
                    skipped[event.reason] += 1
                    continue
                identity, source = event.id, event.source
                if event.weak:
                    identity, source = f"{self._name}:{number}", source or self.format
                yield msgspec.structs.replace(
                    event,
                    id=identity,
                    source=source,
                    fingerprint=fingerprint(source, identity) if event.weak else event.fingerprint,
                    weak=False,
                    timestamp=0,
                )


def to_envelope(event: Event, shift_ms: int = 0) -> tuple[str, bytes, bytes]:
    """The event as a producer sends it: logical topic, key and value. ``shift_ms`` is added to its time.

    ``parse`` reads the value back as the same event. Raises OverflowError for a time beyond the year 9999.
    """
    data: dict[str, Any] = {}
    if event.lines:
        data["items"] = [_item(line) for line in event.lines]
    if event.query:
        data["query"] = event.query
    if event.session:
        data["session"] = event.session
    if event.candidate_id:
        data["candidate_id"] = event.candidate_id
    if event.preferences is not None:
        data["preferences"] = _preferences(event.preferences)
    value = orjson.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "time": rfc3339(event.time + shift_ms),
            "subject": event.user,
            "data": data,
        }
    )
    return EVENT_TYPES[event.type].topic, event.user.encode(), value


def _item(line: Line) -> dict[str, Any]:
    item: dict[str, Any] = {"id": line.item}
    if not isnan(line.price):
        item["price"] = line.price
    if line.quantity != 1:
        item["quantity"] = line.quantity
    if line.category:
        item["category"] = line.category
    if line.brand:
        item["brand"] = line.brand
    if line.title:
        item["title"] = line.title
    return item


def _preferences(value: Preferences) -> dict[str, Any]:
    told: dict[str, Any] = {
        "consent": value.consent,
        "channels": value.channels,
        "time_zone": value.time_zone,
        "erase": value.erase or None,
    }
    if value.quiet_hours is not None:
        told["quiet_hours"] = [f"{minutes // 60:02d}:{minutes % 60:02d}" for minutes in value.quiet_hours]
    return {name: word for name, word in told.items() if word is not None}
