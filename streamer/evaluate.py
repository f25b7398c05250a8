"""How well the engine ranks: a file is replayed through it, without a broker, and lists are judged by what came next.

The protocol. Events are taken in time order; the rows of one user at one time are a *group*. Before each group by a
user who has an earlier one, one list of 20 is ranked over all items seen so far, from the state before the group. Each
distinct item of the group is a *target*; one that no event has mentioned yet is a miss. Hit rates and the reciprocal
rank judge each target on its own and are averaged over targets; nDCG judges a list and is averaged over lists. The
list filters nothing: an item already bought may be the right one to name.

All parts are the engine's own: ``profile.fold``, ``ItemDeltas`` to ``ItemIndex``, ``Queries`` to ``rank``,
``build_example`` to ``Trainer``. The model that ranks a list has learned from earlier lists only.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import groupby
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from streamer.baselines import History, baselines, remember
from streamer.core import profile as profiles
from streamer.core.events import EVENT_TYPES
from streamer.core.index import ItemIndex
from streamer.core.items.deltas import ItemDeltas, touched_before
from streamer.core.items.fold import apply_deltas
from streamer.core.models.example import build_example, label
from streamer.core.models.registry import FEATURES_ID
from streamer.core.models.trainer import Trainer
from streamer.core.queries import Queries
from streamer.core.rank import rank_queries, top
from streamer.core.settings import CoreSettings
from streamer.judge import Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streamer.core.events import Event
    from streamer.core.items.state import ItemState
    from streamer.core.profile import Profile
    from streamer.core.rank import Ranked

LIST_SIZE: Final = 20
_MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """``every``: score each so-manieth group that could be. ``learn_every``: rank and learn from each so-manieth as
    well, 0 for the scored ones alone. ``baselines``: none, cheap or all.
    """

    every: int = 1
    learn_every: int = 0
    baselines: str = "all"
    core: CoreSettings = field(default_factory=CoreSettings)

    def __post_init__(self) -> None:
        """Raise ValueError for what makes no sense."""
        if self.every < 1 or self.learn_every < 0:
            raise ValueError("every must be at least 1, learn_every at least 0")
        if self.baselines not in {"none", "cheap", "all"}:
            raise ValueError(f"baselines must be none, cheap or all, not {self.baselines!r}")


class Report(msgspec.Struct, frozen=True):
    """What an evaluation found. ``events`` are groups of one user and time, ``groups`` the scored ones."""

    events: int
    groups: int
    targets: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    events_per_second: float
    list_ms: dict[str, float]
    rss_mb: float
    digest: str


class _Items:
    """The table of items, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, ItemState] = {}

    def get_many(self, keys: Sequence[str]) -> list[ItemState | None]:
        get = self.rows.get
        return [get(key) for key in keys]


class Engine:
    """The parts of the engine that learn and rank, wired for one process: no policy, no topics."""

    def __init__(self, settings: CoreSettings) -> None:
        self._settings = settings
        self._profiles: dict[str, Profile] = {}
        self._items = _Items()
        self._deltas = ItemDeltas()
        self._encode = msgspec.msgpack.Encoder().encode
        self.index = ItemIndex()
        self.trainer = Trainer(settings.learning)

    def knows(self, user: str) -> bool:
        """Whether the user has an earlier event."""
        return user in self._profiles

    def rank(self, user: str, now_ms: int) -> Ranked:
        """The pool of one user, scored, from everything folded so far."""
        queries = Queries(self._settings.retrieval)
        queries.add(self._profiles[user], now_ms, None)
        return rank_queries(queries, self.index, self.trainer.champion)

    def settle(self) -> None:
        """Bring what was folded into the item index, so that it can be ranked."""
        if len(self._deltas):
            rows = self._items.rows
            for key, state in apply_deltas(self._deltas, self._items, self._settings.items).items():
                rows[f"{key:016x}"] = state
                self.index.apply_state(state)
            self._deltas = ItemDeltas()

    def learn(self, ranked: Ranked, events: Sequence[Event]) -> None:
        """Label the list by the events that followed and learn from it, as the trainer does."""
        taken = {line.key: None for event in events if EVENT_TYPES[event.type].weight > 0 for line in event.lines}
        learning = self._settings.learning
        example = build_example(
            ranked.x,
            label(ranked.items, [self.index.dense(key) for key in taken]),
            ranked.p,
            events[0].fingerprint,
            time_ms=events[0].time,
            features_id=FEATURES_ID,
            model_version=self.trainer.champion.version,
            max_negatives=learning.max_negatives,
            seed=self._settings.seed,
        )
        if example is not None:
            self.trainer.learn([example])

    def fold(self, user: str, events: Sequence[Event]) -> None:
        """Fold a group into its user's profile and the items' news."""
        profile = self._profiles.get(user)
        for event in events:
            self._deltas.add(event, touched_before(profile, event.time, self._settings.items), self._settings.items)
            profile = profiles.fold(profile, event, self._settings.profile)
        if profile is not None:
            self._profiles[user] = profile

    def digest(self, ranks: bytes) -> str:
        """BLAKE2b-128 of the state of users, items and model, and of ``ranks``."""
        self.settle()
        digest = blake2b(ranks, digest_size=16)
        for user in sorted(self._profiles):
            digest.update(user.encode() + b"\n" + self._encode(self._profiles[user]))
        for key in sorted(self._items.rows):
            digest.update(self._encode(self._items.rows[key]))
        digest.update(self.trainer.digest().encode())
        return digest.hexdigest()


def evaluate(
    events: Iterable[Event], settings: EvaluateSettings, progress: Callable[[int], None] | None = None
) -> Report:
    """Replay ``events``, which must be in time order, and judge the lists.

    ``progress`` is told, by and by, how many more events there were.
    """
    engine = Engine(settings.core)
    judge, others = Judge(), baselines(settings.baselines)
    judges = {other.name: Judge() for other in others}
    histories: dict[str, History] = {}
    ranks = blake2b(digest_size=16)
    list_seconds: list[float] = []
    count = eligible = told = 0
    apart = 0.0  # what the baselines and the judging of them took
    started = perf_counter()
    behaviour = (e for e in events if EVENT_TYPES[e.type].kind not in {"feedback", "preference"})
    for (now_ms, user), run in groupby(behaviour, key=lambda e: (e.time, e.user)):
        group = list(run)
        count += 1
        told += len(group)
        items = list(dict.fromkeys([line.key for event in group for line in event.lines]))
        history = histories.setdefault(user, {})
        if items and engine.knows(user):
            eligible += 1
            scored = eligible % settings.every == 0
            learned = eligible % settings.learn_every == 0 if settings.learn_every else scored
            if scored or learned:
                engine.settle()
                began = perf_counter()
                ranked = engine.rank(user, now_ms)
                listed = ranked.items[top(ranked, 0, LIST_SIZE)].tolist()
                if scored:
                    list_seconds.append(perf_counter() - began)
                    new = [item not in history for item in items]
                    keys = engine.index.keys[listed].tolist()
                    places = judge.add(keys, items, new)
                    ranks.update(f"{[engine.index.id_of(at) for at in listed]}{places}".encode())
                    began = perf_counter()
                    for other in others:
                        judges[other.name].add(other.rank(history), items, new)
                    apart += perf_counter() - began
                if learned:
                    engine.learn(ranked, group)
        engine.fold(user, group)
        began = perf_counter()
        for other in others:
            other.see(history, items)
        apart += perf_counter() - began
        remember(history, items)
        if progress is not None and told >= 500:
            progress(told)
            told = 0
    seconds = perf_counter() - started - apart
    if progress is not None:
        progress(told)
    return Report(
        count,
        judge.lists,
        judge.targets,
        judge.metrics(),
        {name: each.metrics() for name, each in judges.items()},
        round(count / seconds, 1) if count else 0.0,
        _percentiles(list_seconds),
        round(_peak_rss() / _MEBIBYTE, 1),
        engine.digest(ranks.digest()),
    )


def _percentiles(seconds: list[float]) -> dict[str, float]:
    if not seconds:
        return {"p50": 0.0, "p99": 0.0}
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


def _peak_rss() -> int:
    """The most memory this process has held, in bytes; kernels do not agree on the unit."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def evaluate_events(
    events: Iterable[Event], core: CoreSettings, *, every: int = 1, learn_every: int = 0, baselines: str = "all"
) -> dict[str, Any]:
    """``evaluate`` for callers that hold events: the report as its JSON has it."""
    report = evaluate(events, EvaluateSettings(every, learn_every, baselines, core))
    return dict(msgspec.to_builtins(report))
