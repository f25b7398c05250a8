"""The order in which a task folded its records, as its journal says, and until when what stands in it was decided."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.governance.events import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.governance.run import Rec, Run

TICK: Final = "tick"
_NO_INPUTS: Final = frozenset({"catalog", "journal", "decisions", "push-candidates"})


class Step(NamedTuple):
    """A record that was folded, or a tick (``tick_ms``). ``read``: up to where the catalog was known then."""

    rec: Rec | None
    tick_ms: int
    read: int


class Journal:
    """``steps`` in order. ``ticks``: how many there were, by their time. ``read_at_last``: of the catalog."""

    def __init__(self, run: Run, partition: int) -> None:
        records = {
            (topic, rec.offset): rec
            for (topic, lies_in), records in run.records.items()
            if lies_in == partition and topic not in _NO_INPUTS
            for rec in records
        }
        entries = run.of("journal", partition)
        batches = [batch for entry in entries for batch in json.loads(entry.value or b"{}")["batches"]]
        self.steps = [step for batch in batches for step in _steps(batch, records)]
        self.read_at_last = max(map(_catalog_read, batches), default=0)
        self.ticks = Counter(step.tick_ms for step in self.steps if step.rec is None)
        self._place = {origin_of(step.rec): at for at, step in enumerate(self.steps) if step.rec is not None}
        self._tick_places = [at for at, step in enumerate(self.steps) if step.rec is None]
        # What the stream time has reached after each step, at the most: not all that was read counts.
        self._reached_ms: list[int] = []
        now_ms = 0
        for step in self.steps:
            now_ms = max(now_ms, _latest_ms(step))
            self._reached_ms.append(now_ms)

    def last_tick(self, place: int, after: str = "", by_ms: int = 0) -> tuple[int, int]:
        """The last tick at which something may have been decided that was not before the tick at ``place``: the place
        of that tick, and the stream time then, at the most. What was decided next was so with the record ``after``, or
        at a tick at ``by_ms``; if it is neither, nobody knows.
        """
        end = self._place.get(after, len(self.steps)) if after else len(self.steps)
        last = place
        for tick in self._tick_places[bisect_right(self._tick_places, place) :]:
            if tick >= end or (by_ms and self.steps[tick].tick_ms > by_ms):
                break
            last = tick
        reached_ms = self._reached_ms[last]
        return last, min(reached_ms, by_ms) if by_ms else reached_ms


def origin_of(rec: Rec) -> str:
    """As decisions name it."""
    return f"{rec.topic}:{rec.offset}"


def _steps(batch: dict[str, Any], records: dict[tuple[str, int], Rec]) -> Iterable[Step]:
    read_to = _catalog_read(batch)
    for topic, first, last in batch["runs"]:
        if topic == TICK:
            yield Step(None, first, read_to)
            continue
        for offset in range(first, last + 1):
            if (rec := records.get((topic, offset))) is not None:
                yield Step(rec, 0, read_to)


def _catalog_read(batch: dict[str, Any]) -> int:
    """Up to where the task's copy of the catalog was read as it decided a batch."""
    positions = batch.get("replicas", {}).get("catalog")
    if not positions:
        return 0
    return int(positions[0] if isinstance(positions, list) else positions.get("0", 0))


def _latest_ms(step: Step) -> int:
    if step.rec is None:
        return step.tick_ms
    event = read(step.rec)
    return event.ms if event is not None else 0
