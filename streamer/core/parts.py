"""A batch with ticks in it is done in parts, each of which sees what those before it asked to be written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from streamer.core.intake import Tick
from streamer.core.timers import read_due_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streamer.core.campaigns.watching import Watch
    from streamer.core.effects import Effects
    from streamer.core.events import Event
    from streamer.core.intake import Reset
    from streamer.core.record import Record
    from streamer.core.views import DueRows, Rows, Views, WatchRows

    Readable = list[tuple[Record, Event | Reset | Tick]]

V = TypeVar("V")


def parts(readable: Readable) -> Iterator[Readable]:
    """The batch, cut before each tick; one part at least."""
    start = 0
    for place, (_, event) in enumerate(readable):
        if place and isinstance(event, Tick):
            yield readable[start:place]
            start = place
    yield readable[start:]


def over(views: Views, effects: Effects) -> Views:
    """The views with the rows that effects ask for in them."""
    written = effects.seen or effects.policy or effects.due or effects.slates or effects.spent or effects.watching
    if not written:
        return views
    return replace(
        views,
        profiles=_Over(effects.profiles, views.profiles),
        seen=_Over(effects.seen, views.seen),
        policy=_Over(effects.policy, views.policy),
        pending=_Over(effects.pending, views.pending),
        due=_DueOver(effects.due, views.due),
        slates=_Over(effects.slates, views.slates),
        spent={**views.spent, **effects.spent},
        watch=_WatchOver(effects.watch, effects.watching, views.watch),
    )


class _Over(Generic[V]):
    """Rows before those of a table; ``None`` for one that is deleted."""

    def __init__(self, rows: Mapping[str, V | None], table: Rows[V]) -> None:
        self._rows, self._table = rows, table

    def get_many(self, keys: Sequence[str]) -> Sequence[V | None]:
        rows = self._rows
        missing = [key for key in keys if key not in rows]
        found = dict(zip(missing, self._table.get_many(missing), strict=True))
        return [rows[key] if key in rows else found[key] for key in keys]


class _DueOver:
    """As ``_Over``, of table ``due``."""

    def __init__(self, rows: Mapping[str, bytes | None], table: DueRows) -> None:
        self._rows, self._table = rows, table

    def first(self, until_ms: int, limit: int) -> list[str]:
        gone = {key for key, row in self._rows.items() if row is None}
        new = [key for key, row in self._rows.items() if row is not None and read_due_key(key)[0] <= until_ms]
        # So many more may be gone of the table's first.
        old = [key for key in self._table.first(until_ms, limit + len(gone)) if key not in gone]
        return sorted({*old, *new})[:limit]


class _WatchOver(_Over["Watch"]):
    """As ``_Over``, of table ``watch``."""

    def __init__(
        self, rows: Mapping[str, Watch | None], watching: tuple[int, int, str] | None, table: WatchRows
    ) -> None:
        super().__init__(rows, table)
        self._watching = table
        self.count, offset, after = watching or (table.count, *table.swept)
        self.swept = offset, after

    def between(self, spans: Sequence[tuple[str, str]], limit: int) -> list[tuple[int, str, Watch]]:
        rows = self._rows
        # So many more may be gone of the table's first.
        found = {(place, key): row for place, key, row in self._watching.between(spans, limit + len(rows))}
        for place, (start, end) in enumerate(spans):
            for key, row in rows.items():
                if start <= key < end:
                    if row is None:
                        found.pop((place, key), None)
                    else:
                        found[place, key] = row
        return [(place, key, found[place, key]) for place, key in sorted(found)][:limit]
