"""Lists kept during one replay, to be ranked again in seconds: for experiments with what scores and with vectors.

What a list holds depends on neither: candidates come from the families, and a feature of one candidate not on the
model. So the events go through evaluation's engine once, and of each list that is judged its features, its targets and
the shopper's newest items are kept, with every step that vectors are learned from and how many of them came before.
Ranked again with nothing changed it gives what ``streamer evaluate --set core.vectors.learn_rate=1`` gives.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.core.candidates.registry import GENERATORS
from streamer.core.events import EVENT_TYPES
from streamer.core.features import FEATURES
from streamer.core.models.example import build_example
from streamer.core.models.registry import FEATURES_ID
from streamer.core.vectors.learner import OnlineVectors
from streamer.evaluation.bootstrap import Draws
from streamer.evaluation.judge import Asked, metrics
from streamer.evaluation.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.models.example import Example
    from streamer.core.rank import Ranked
    from streamer.core.vectors.step import Step
    from streamer.evaluation.baselines.base import Shopper
    from streamer.evaluation.settings import EvaluateSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Keys = NDArray[np.uint64]

RECENTS = 8
"""As many newest items as vectors look at."""
LIST_SIZE = 20


@dataclass(frozen=True)
class Lists:
    """``x`` float32 [rows, F], ``key``, ``label`` (taken up), ``new`` (the profile does not know it) and ``by`` [rows]:
    a bit for each of ``GENERATORS`` that proposed it.

    Rows ``offsets[n]:offsets[n + 1]`` are list ``n``'s. By list [lists]: ``user`` number, ``fingerprint`` and
    ``time_ms`` of the event, ``steps`` made before it, ``recents`` keys [lists, 8], newest first, 0 for none. Targets
    of list ``n`` are ``asked[n]:asked[n + 1]`` of ``target`` (keys), ``row`` (-1: no candidate) and ``fresh`` (new to
    them). Steps: ``before`` keys [s, 8], newest first, and ``taken`` [s], 0 for none; one item taken up a row.
    """

    x: NDArray[np.float32]
    offsets: Ints
    key: Keys
    label: NDArray[np.bool_]
    new: NDArray[np.bool_]
    by: NDArray[np.uint32]
    user: Ints
    fingerprint: Keys
    time_ms: Ints
    steps: Ints
    recents: Keys
    asked: Ints
    target: Keys
    row: Ints
    fresh: NDArray[np.bool_]
    before: Keys
    taken: Keys

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, n: int) -> slice:
        """Of a list."""
        return slice(int(self.offsets[n]), int(self.offsets[n + 1]))

    def features(self, n: int) -> Floats:
        """X [F, rows of the list], a copy."""
        return np.ascontiguousarray(self.x[self.rows(n)].T, dtype=np.float64)

    def example(self, n: int, x: Floats, p: Floats, kept: Ints | None = None) -> Example | None:
        """What the trainer would be given of the rows ``kept``, of all if it is None; ``x`` and ``p`` are of these."""
        label = self.label[self.rows(n)]
        return build_example(
            x,
            label if kept is None else label[kept],
            p,
            int(self.fingerprint[n]),
            time_ms=int(self.time_ms[n]),
            features_id=FEATURES_ID,
            model_version=0,
        )

    def save(self, folder: Path) -> None:
        """An array a file."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in vars(self).items():
            np.save(folder / f"{name}.npy", values)

    @staticmethod
    def load(folder: Path) -> Lists:
        """Features stay on the disk until they are asked for."""
        names = Lists.__dataclass_fields__
        return Lists(
            **{name: np.load(folder / f"{name}.npy", mmap_mode="r" if name == "x" else None) for name in names}
        )


class _Steps(OnlineVectors):
    """Keeps what is to be learned and learns nothing."""

    def learn(self, step: Step) -> None:
        """As ``OnlineVectors.learn``: one step for each item taken up."""
        before, taken = step.keys()
        row = before[:RECENTS] + [0] * (RECENTS - len(before))
        for key in taken:
            self.before.extend(row)
            self.taken.append(key)
            self.steps += 1

    before: array[int]
    taken: array[int]


class _Keeping(Run):
    """A run that keeps its lists."""

    def __init__(self, settings: EvaluateSettings) -> None:
        super().__init__(settings)
        self.engine.vectors = self.learned = _Steps(settings.core.vectors)
        self.learned.before, self.learned.taken = array("Q"), array("Q")
        self.parts: dict[str, list[Any]] = {}

    def _judge(self, ranked: Ranked, events: Sequence[Event], shopper: Shopper, targets: list[int]) -> None:
        index, pool, recents = self.engine.index, ranked.pool, ranked.asked.recents
        at = {key: row for row, key in enumerate(ranked.keys.tolist())}
        keys = list(dict.fromkeys([line.key for event in events for line in event.lines]))
        newest = index.keys.take(recents.item[recents.place < RECENTS])
        kept = {
            "x": ranked.x.T.astype(np.float32),
            "key": ranked.keys,
            "label": self.engine.labels(ranked, events),
            "new": (pool.own < 0) & (pool.bought < 0),
            "by": sum((_proposed(pool.scores, g.columns) << n for n, g in enumerate(GENERATORS)), np.uint32(0)),
            "size": len(ranked.keys),
            "user": shopper.number,
            "fingerprint": events[0].fingerprint,
            "time_ms": events[0].time,
            "steps": self.learned.steps,
            "recents": np.concatenate((newest, np.zeros(RECENTS - len(newest), np.uint64))),
            "count": len(targets),
            "target": np.array(keys, np.uint64),
            "row": np.array([at.get(key, -1) for key in keys], np.int64),
            "fresh": np.array([target not in shopper.history for target in targets], np.bool_),
        }
        for name, value in kept.items():
            self.parts.setdefault(name, []).append(value)


def _proposed(scores: Mapping[str, Floats], columns: Sequence[str]) -> NDArray[np.uint32]:
    """1 for each candidate with a score in one of the columns."""
    found: NDArray[np.uint32] = np.any([scores[column] != 0 for column in columns], axis=0).astype(np.uint32)
    return found


_JOINED = ("x", "key", "label", "new", "by", "target", "row", "fresh")


def keep(events: Iterable[Event], settings: EvaluateSettings) -> Lists:
    """Replay once. ``settings`` must have ``core.vectors.learn_rate`` 1, as all steps are kept."""
    run = _Keeping(settings)
    behaviour = (e for e in events if EVENT_TYPES[e.type].kind not in {"feedback", "preference"})
    for (now_ms, user), group in groupby(behaviour, key=lambda e: (e.time, e.user)):
        run.group(user, now_ms, list(group))
    parts = run.parts
    joined: dict[str, Any] = {n: np.concatenate(parts[n]) for n in _JOINED}
    numbers: dict[str, Any] = {name: np.array(parts[name], np.int64) for name in ("user", "time_ms", "steps")}
    return Lists(
        **joined,
        **numbers,
        offsets=np.concatenate(([0], np.cumsum(parts["size"]))),
        asked=np.concatenate(([0], np.cumsum(parts["count"]))),
        fingerprint=np.array(parts["fingerprint"], np.uint64),
        recents=np.array(parts["recents"], np.uint64),
        before=np.array(run.learned.before, np.uint64).reshape(-1, RECENTS),
        taken=np.array(run.learned.taken, np.uint64),
    )


class Places:
    """Where one ranking put each target, in the list of what comes next and in that of what is new."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self._next, self._discover = array("B"), array("B")

    def add(self, n: int, p: Floats) -> None:
        """List ``n`` was scored ``p`` [rows], -inf for what is no candidate."""
        lists, rows = self._lists, self._lists.rows(n)
        asked = slice(int(lists.asked[n]), int(lists.asked[n + 1]))
        row, fresh, key = lists.row[asked], lists.fresh[asked], lists.key[rows]
        order = np.lexsort((key, -p))[: np.count_nonzero(p > -np.inf)]
        self._next.extend(_places(order[:LIST_SIZE], row))
        self._discover.extend(_places(order[lists.new[rows][order]][:LIST_SIZE], row[fresh]))

    def figures(self) -> dict[str, float]:
        """HR@20, MRR@20 and HR@20 of the new in the list ``next``; HR@20 and MRR@20 of ``discover``."""
        found = metrics(self._asked()[0], self._next)
        new = metrics(self._asked()[1], self._discover)
        return {
            "hr@20": found["hr@20"],
            "mrr@20": found["mrr@20"],
            "hr@20_new": found["hr@20_new"],
            "discover_hr@20": new["hr@20"],
            "discover_mrr@20": new["mrr@20"],
        }

    def above(self, other: Places, replicates: int = 500) -> dict[str, tuple[float, float, float]]:
        """By how much these are better, paired: [by, low, high], 95 % by bootstrap over users."""
        asked, new = self._asked()
        found = Draws(asked, {"one": self._next, "two": other._next}, replicates).difference("one", "two")
        fresh = Draws(new, {"one": self._discover, "two": other._discover}, replicates).difference("one", "two")
        told = {name: found[name] for name in ("hr@20", "mrr@20", "hr@20_new")}
        return told | {f"discover_{name}": fresh[name] for name in ("hr@20", "mrr@20")}

    def _asked(self) -> tuple[Asked, Asked]:
        both = Asked(), Asked()
        lists = self._lists
        for n in range(len(lists)):
            fresh = lists.fresh[int(lists.asked[n]) : int(lists.asked[n + 1])].tolist()
            both[0].add(int(lists.user[n]), fresh)
            both[1].add(int(lists.user[n]), [True] * sum(fresh))
        return both


def _places(order: Ints, row: Ints) -> list[int]:
    place = {at: n for n, at in enumerate(order.tolist(), 1)}
    return [place.get(at, 0) for at in row.tolist()]


ROW = {feature.name: n for n, feature in enumerate(FEATURES)}
