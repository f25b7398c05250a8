"""Judging all rankings of one kind of list: the engine's and the baselines'."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.evaluation.beyond import Beyond
from streamer.evaluation.bootstrap import Draws
from streamer.evaluation.judge import METRICS, Asked, Judge, by_list, means, metrics
from streamer.evaluation.outcomes import Outcomes, keep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.evaluation.beyond import Sightings

OURS: Final = "streamer"
_STRETCHES: Final = 40


class Series:
    """One kind of list (``next`` or ``discover``) over a run, by the name of the ranking."""

    def __init__(self, baselines: Sequence[str], sightings: Sightings) -> None:
        self.asked = Asked()
        self._judges = {name: Judge() for name in (OURS, *baselines)}
        self._beyond = {name: Beyond(sightings) for name in self._judges}
        self._lists = blake2b(digest_size=16)

    def ask(self, user: int, now_ms: int, targets: Sequence[int], new: Sequence[bool]) -> None:
        """The next lists are for a user and judged by ``targets``, of which some are ``new`` to the user."""
        if targets:
            self.asked.add(user, new)
            self._lists.update(f"{user}:{now_ms}:{list(targets)}".encode())

    def add(self, name: str, items: list[int], targets: Sequence[int]) -> list[int]:
        """A ranking's list, and the places of the targets in it."""
        if not targets:
            return []
        self._beyond[name].add(items)
        return self._judges[name].add(items, targets)

    def outcomes(self) -> Outcomes:
        """All of it, small."""
        return keep(self._lists.hexdigest(), self.asked, {name: judge.places for name, judge in self._judges.items()})

    def figures(self, replicates: int, seed: int) -> dict[str, Any]:
        """The fields of a ``ListReport``."""
        found = {name: metrics(self.asked, judge.places) for name, judge in self._judges.items()}
        intervals, lead = {}, {}
        if replicates and self.asked.lists:
            draws = Draws(self.asked, {name: judge.places for name, judge in self._judges.items()}, replicates, seed)
            intervals = {name: draws.interval(name) for name in self._judges}
            lead = {name: draws.difference(OURS, name) for name in self._judges if name != OURS}
        return {
            "groups": self.asked.lists,
            "targets": self.asked.targets,
            "metrics": found.pop(OURS),
            "baselines": found,
            "beyond": {name: each.figures() for name, each in self._beyond.items()},
            "intervals": intervals,
            "lead": lead,
        }

    def curve(self) -> dict[str, dict[str, list[float]]]:
        """hr@20 and mrr@20 over stretches of as many lists, in order, by ranking; and how many lists were before."""
        count = self.asked.lists
        edges = np.unique(np.linspace(0, count, _STRETCHES + 1).astype(np.int64))
        if len(edges) < 2:
            return {}
        found: dict[str, dict[str, list[float]]] = {"lists": {"until": edges[1:].tolist()}}
        for name, judge in self._judges.items():
            worth, counts = by_list(self.asked, judge.places)
            each = means(np.add.reduceat(worth, edges[:-1]), np.add.reduceat(counts, edges[:-1]))
            found[name] = {
                metric: [round(v, 6) for v in each[:, METRICS.index(metric)].tolist()] for metric in ("hr@20", "mrr@20")
            }
        return found
