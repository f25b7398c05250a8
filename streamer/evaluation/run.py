"""How well the engine ranks: a file is replayed through it, without a broker, and lists are judged by what came next.

The protocol. Events are taken in time order; the rows of one user at one time are a *group*. Before each group by a
user who has an earlier one, one list of 20 is ranked over all items seen so far, from the state before the group. Each
distinct item of the group is a *target*; one that no event has mentioned yet is a miss. Hit rates and the reciprocal
rank judge each target on its own and are averaged over targets; nDCG judges a list and is averaged over lists. The
list filters nothing: an item already bought may be the right one to name.

A second list, ``discover``, names 20 items new to the user and is judged by the targets that are. Baselines leave out
what the user had before; the engine leaves out what its profile remembers.

The model that ranks a list has learned from earlier lists only.
"""

from __future__ import annotations

import resource
import sys
from hashlib import blake2b
from itertools import groupby
from time import perf_counter
from typing import TYPE_CHECKING, Final

from streamer.core.events import EVENT_TYPES
from streamer.core.rank import discover, top
from streamer.evaluation.baselines.base import Shopper, remember
from streamer.evaluation.baselines.registry import Baselines
from streamer.evaluation.beyond import Sightings
from streamer.evaluation.engine import Engine
from streamer.evaluation.ranker import Families, RankerQuality
from streamer.evaluation.report import ListReport, Report
from streamer.evaluation.series import OURS, Series
from streamer.evaluation.settings import LIST_SIZE, EvaluateSettings
from streamer.evaluation.stages import Stages, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streamer.core.events import Event
    from streamer.core.rank import Ranked

_MEBIBYTE: Final = 1 << 20


class Run:
    """One pass over a stream. ``judging`` is what took time that a live engine would not spend, in seconds."""

    def __init__(self, settings: EvaluateSettings) -> None:
        self._settings = settings
        self.engine = Engine(settings.core, settings.model)
        self.baselines = Baselines(settings.baselines)
        names = [baseline.name for baseline in self.baselines.chosen]
        self._sightings = Sightings()
        self.next = Series(names, self._sightings)
        self.discover = Series(names, self._sightings)
        self.quality, self.families = RankerQuality(), Families()
        self.stages = Stages()
        self.list_seconds: list[float] = []
        self.baseline_seconds = dict.fromkeys(names, 0.0)
        self.judging = 0.0
        self.ranks = blake2b(digest_size=16)
        self._shoppers: dict[str, Shopper] = {}
        self._numbers: dict[int, int] = {}
        self._eligible = 0

    def group(self, user: str, now_ms: int, events: Sequence[Event]) -> None:
        """Rank for a user if it is their turn, judge by ``events``, learn, and only then let the engine see them."""
        keys = dict.fromkeys([line.key for event in events for line in event.lines])
        shopper = self._shoppers.get(user)
        if shopper is None:
            shopper = self._shoppers[user] = Shopper(len(self._shoppers))
        numbers = self._numbers
        items = [numbers.setdefault(key, len(numbers)) for key in keys]
        if items and self.engine.knows(user):
            self._eligible += 1
            settings = self._settings
            scored = self._eligible % settings.every == 0
            if scored or self._learns():
                self._list(user, now_ms, events, shopper, items if scored else None)
        began = perf_counter()
        self.engine.fold(user, events)
        began = self.stages.took("fold", began)
        for baseline in self.baselines.learning:
            baseline.see(shopper, items)
        history = shopper.history
        self._sightings.see(shopper.number, items, [item for item in items if item not in history])
        remember(history, items)
        self.judging += perf_counter() - began

    def _list(
        self, user: str, now_ms: int, events: Sequence[Event], shopper: Shopper, targets: list[int] | None
    ) -> None:
        """Rank, judge if there are ``targets``, learn."""
        engine = self.engine
        began = self.stages.clock()
        engine.settle()
        began = self.stages.took("settle", began)
        ranked = engine.rank(user, now_ms, self.stages)
        if targets is not None:
            top(ranked, 0, LIST_SIZE)  # a list is done when it is in order
            self.list_seconds.append(perf_counter() - began)
            began = perf_counter()
            self._judge(ranked, events, shopper, targets)
            self.judging += perf_counter() - began
        if self._learns():
            began = self.stages.clock()
            engine.learn(ranked, events)
            self.stages.took("learn", began)

    def _learns(self) -> bool:
        every = self._settings.learn_every or self._settings.every
        return self._eligible % every == 0

    def _judge(self, ranked: Ranked, events: Sequence[Event], shopper: Shopper, targets: list[int]) -> None:
        history, number, now_ms = shopper.history, shopper.number, events[0].time
        rows = [self.engine.listed(ranked, order, LIST_SIZE) for order in (top, discover)]
        new = [target not in history for target in targets]
        fresh = [target for target, is_new in zip(targets, new, strict=True) if is_new]
        self.next.ask(number, now_ms, targets, new)
        self.discover.ask(number, now_ms, fresh, [True] * len(fresh))
        keys = [ranked.keys[each].tolist() for each in rows]
        # A catalog may name items that nobody has seen: they have no number, and can be no target.
        named = [[self._numbers.get(key, -1) for key in each] for each in keys]
        places = self.next.add(OURS, named[0], targets)
        found = self.discover.add(OURS, named[1], fresh)
        index = self.engine.index
        ids = [[index.id_of(at) for at in ranked.items[each].tolist()] for each in rows]
        self.ranks.update(f"{ids[0]}{places}{ids[1]}{found}".encode())
        labels = self.engine.labels(ranked, events)
        self.quality.add(ranked, labels)
        self.families.add(ranked, rows[0], labels, len(targets))
        if self.baselines.chosen:
            popular = self.baselines.popularity.first(2 * LIST_SIZE + len(history))
            for baseline in self.baselines.chosen:
                began = perf_counter()
                order = list(dict.fromkeys([*baseline.rank(shopper, LIST_SIZE + len(history)), *popular]))
                self.baseline_seconds[baseline.name] += perf_counter() - began
                self.next.add(baseline.name, order[:LIST_SIZE], targets)
                self.discover.add(baseline.name, [i for i in order if i not in history][:LIST_SIZE], fresh)


def evaluate(
    events: Iterable[Event],
    settings: EvaluateSettings,
    progress: Callable[[int], None] | None = None,
    *,
    outcomes: bool = False,
) -> Report:
    """Replay ``events``, which must be in time order, and judge the lists.

    ``progress`` is told, by and by, how many more events there were. ``outcomes``: keep those of each target.
    """
    run = Run(settings)
    count = told = 0
    started = perf_counter()
    behaviour = (e for e in events if EVENT_TYPES[e.type].kind not in {"feedback", "preference"})
    for (now_ms, user), group in groupby(behaviour, key=lambda e: (e.time, e.user)):
        together = list(group)
        count += 1
        told += len(together)
        run.group(user, now_ms, together)
        if progress is not None and told >= 500:
            progress(told)
            told = 0
    seconds = perf_counter() - started - run.judging
    if progress is not None:
        progress(told)
    lists = max(run.next.asked.lists, 1)
    return Report(
        **run.next.figures(settings.replicates, settings.seed),
        events=count,
        discover=ListReport(**run.discover.figures(settings.replicates, settings.seed)),
        missing=run.baselines.missing,
        events_per_second=round(count / seconds, 1) if count else 0.0,
        list_ms=percentiles(run.list_seconds),
        rss_mb=round(_peak_rss() / _MEBIBYTE, 1),
        digest=run.engine.digest(run.ranks.digest()),
        ranker=run.quality.figures(),
        retrieval=run.families.figures(),
        curve=run.next.curve(),
        stages=run.stages.milliseconds(),
        baseline_ms={name: round(1000 * s / lists, 3) for name, s in run.baseline_seconds.items()},
        predictions=run.engine.foretold(),
        importance=run.engine.importance(),
        model=settings.model or type(run.engine.trainer.champion).__name__,
        outcomes={"next": run.next.outcomes(), "discover": run.discover.outcomes()} if outcomes else None,
    )


def _peak_rss() -> int:
    """The most memory this process has held, in bytes; kernels do not agree on the unit."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
