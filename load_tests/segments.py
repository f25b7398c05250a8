"""What segments earn where little is known of a shopper: the lists of their first events, with and without.

    python -m load_tests.segments FILE --every K

One replay without segments and one with (all of ``--learn-rate``), as ``streamer evaluate`` makes them, each with a net
of its own. Beside the lists that ``evaluate`` judges, one is ranked before the very first group of a shopper, from the
context alone, judged and not learned from, as in a worker. Told by how many groups there were before, paired, 95 % by
bootstrap over users; and by how many lists the segment's generator was asked, and proposed a target.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from load_tests.harness import machine, write
from streamer.core.events import EVENT_TYPES
from streamer.core.rank import discover, top
from streamer.core.segment_settings import SegmentSettings
from streamer.core.settings import CoreSettings
from streamer.evaluation.bootstrap import Draws
from streamer.evaluation.judge import METRICS as JUDGED
from streamer.evaluation.judge import Asked, Judge
from streamer.evaluation.run import Run
from streamer.evaluation.settings import LIST_SIZE, EvaluateSettings
from streamer.readers.registry import open_events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.events import Event
    from streamer.core.rank import Ranked
    from streamer.evaluation.baselines.base import Shopper

STAGES: Final = ("never seen", "1 before", "2 before", "3 before", "more")
KINDS: Final = ("next", "discover")
METRICS: Final = ("hr@20", "mrr@20")


class Stages(Run):
    """A run that keeps apart how far shoppers had come. ``reached``: of all targets, those their segment proposed."""

    def __init__(self, settings: EvaluateSettings) -> None:
        super().__init__(settings)
        self._groups: dict[str, int] = {}
        self._first = 0
        self.asked = {(kind, stage): Asked() for kind in KINDS for stage in STAGES}
        self.judges = {place: Judge() for place in self.asked}
        self.reached = dict.fromkeys(STAGES, 0)
        self._stage = STAGES[0]

    def group(self, user: str, now_ms: int, events: Sequence[Event]) -> None:
        """As the run, and a list for who was never seen."""
        before = self._groups.get(user, 0)
        self._groups[user] = before + 1
        self._stage = STAGES[min(before, len(STAGES) - 1)]
        if not before and any(event.lines for event in events):
            self._first += 1
            if self._first % self._settings.every == 0:
                self.engine.settle()
                ranked = self.engine.rank(user, now_ms, self.stages)
                keys = dict.fromkeys([line.key for event in events for line in event.lines])
                self._keep(ranked, list(keys), [True] * len(keys), len(self._shoppers))
        super().group(user, now_ms, events)

    def _judge(self, ranked: Ranked, events: Sequence[Event], shopper: Shopper, targets: list[int]) -> None:
        keys = dict.fromkeys([line.key for event in events for line in event.lines])
        self._keep(ranked, list(keys), [target not in shopper.history for target in targets], shopper.number)

    def _keep(self, ranked: Ranked, keys: list[int], new: list[bool], user: int) -> None:
        stage = self._stage
        fresh = [key for key, is_new in zip(keys, new, strict=True) if is_new]
        for kind, order, targets, of in (("next", top, keys, new), ("discover", discover, fresh, [True] * len(fresh))):
            if targets:
                self.asked[kind, stage].add(user, of)
                named = ranked.keys[self.engine.listed(ranked, order, LIST_SIZE)].tolist()
                self.judges[kind, stage].add(named, targets)
        proposed = ranked.keys[np.flatnonzero(ranked.pool.scores["segment"] > 0.0)]
        self.reached[stage] += int(np.isin(np.array(keys, np.uint64), proposed).sum())


def run(events: Sequence[Event], settings: EvaluateSettings) -> Stages:
    """All of it."""
    made = Stages(settings)
    behaviour = (e for e in events if EVENT_TYPES[e.type].kind not in {"feedback", "preference"})
    for (now_ms, user), group in groupby(behaviour, key=lambda e: (e.time, e.user)):
        made.group(user, now_ms, list(group))
    return made


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--learn-rate", type=float, default=0.5)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    events = list(open_events(given.file))[: given.limit]
    off = EvaluateSettings(every=given.every, baselines="none")
    segments = SegmentSettings(learn_rate=given.learn_rate, count=given.count)
    on = replace(off, core=CoreSettings(segments=segments))
    without, with_them = run(events, off), run(events, on)
    found: dict[str, Any] = {}
    for place, asked in with_them.asked.items():
        if not asked.lists:
            continue
        kind, stage = place
        places = {"on": with_them.judges[place].places, "off": without.judges[place].places}
        draws = Draws(asked, places, 500)
        above = draws.difference("on", "off")
        figures = {metric: round(float(draws.found[1][JUDGED.index(metric)]), 4) for metric in METRICS}
        found[f"{kind}, {stage}"] = {
            "targets": asked.targets,
            "proposed": with_them.reached[stage],
            "without": figures,
            "gained": {metric: above[metric] for metric in METRICS},
        }
        print(f"{kind}, {stage}", found[f"{kind}, {stage}"], flush=True)
    print(with_them.engine.segments.metrics())
    write({"segments": found, "clusters": with_them.engine.segments.metrics(), **machine()}, given.json)


if __name__ == "__main__":
    main()
