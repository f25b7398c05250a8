"""Searches for logs that have none: made up, seeded, and marked as such.

A search is put before some views, as if the shopper had looked for what they then viewed: its words are taken from the
view's category and brand. The shopper, the item and all other events are those of the log; only these searches are not
real, and their ``source`` says so.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

from streamer.core.events import Event, key64
from streamer.readers.base import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SOURCE: Final = "simulated-search"
RATE: Final = 0.15
"""The share of views that a search is put before, unless told otherwise."""

NEAREST_MS: Final = 1_200
FARTHEST_MS: Final = 9_200
"""A search is this long before its view, or half-way back to the user's previous event if that is nearer."""


def with_searches(events: Iterable[Event], seed: int = 0, rate: float = RATE) -> Iterator[Event]:
    """``events`` with searches among them, in time order again. The input must be in time order.

    ``rate`` is the share, 0 to 1, of the views with a category or brand that get a search. Whether one does, and which,
    depends on ``seed`` and the view's source and id alone, on no order, process or clock. A user's events keep their
    order, and a search lies strictly between two of them.
    """
    bound = int(rate * (1 << 32))
    waiting: list[tuple[int, int, Event]] = []
    newest: dict[str, int] = {}
    count = 0
    for event in events:
        time, user = event.time, event.user
        while waiting and waiting[0][0] < time - FARTHEST_MS:
            yield heappop(waiting)[2]
        if event.type == "view":
            draw = key64(f"{seed}:{event.source}:{event.id}")
            if draw & 0xFFFF_FFFF < bound:
                gap = NEAREST_MS + (draw >> 32) % (FARTHEST_MS - NEAREST_MS)
                gap = min(gap, (time - newest[user]) // 2) if user in newest else gap
                query = words(event, draw >> 48)
                if query and 0 < gap <= time:
                    count += 1
                    heappush(waiting, (time - gap, count, _search(event, time - gap, query)))
        newest[user] = time
        count += 1
        heappush(waiting, (time, count, event))
    while waiting:
        yield heappop(waiting)[2]


def words(event: Event, draw: int) -> str:
    """What a shopper might have typed to find the event's first item; empty if nothing is known of it.

    ``appliances.environment.water_heater`` of brand ``aqua`` gives ``aqua water heater``, ``water heater``,
    ``environment water heater`` or ``aqua``. A category that is only a number has no words.
    """
    if not event.lines:
        return ""
    line = event.lines[0]
    path = [] if line.category.isdigit() else line.category.replace("_", " ").split(".")
    leaf = path[-1] if path else ""
    ways = [f"{line.brand} {leaf}", leaf, f"{path[-2]} {leaf}" if len(path) > 1 else leaf, line.brand]
    known = [way for way in (way.strip() for way in ways) if way]
    return known[draw % len(known)] if known else ""


def _search(view: Event, time: int, query: str) -> Event:
    identity = f"{view.id}:search"
    return Event(
        view.user,
        identity,
        SOURCE,
        "search",
        time,
        fingerprint(SOURCE, identity),
        query=query,
        session=view.session,
    )
