"""Judges ranked lists by the items that followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# 1 / log2(place + 1) for places 1, 2, … 10, to twelve digits: a table, so that no machine's logarithm shows.
_GAINS: Final = (
    1.0, 0.630929753571, 0.5, 0.430676558073, 0.386852807235,
    0.356207187108, 0.333333333333, 0.315464876786, 0.301029995664, 0.289064826318,
)  # fmt: skip
_IDEAL: Final = tuple(sum(_GAINS[: n + 1]) for n in range(len(_GAINS)))
METRICS: Final = ("hr@10", "hr@20", "mrr@20", "ndcg@10", "hr@20_new")


class Judge:
    """Adds up what lists were worth. ``lists`` and ``targets`` were judged so far."""

    def __init__(self) -> None:
        self.lists = self.targets = 0
        self._new = self._hits_10 = self._hits_20 = self._new_hits_20 = 0
        self._reciprocal = self._gain = 0.0

    def add(self, ranked: Sequence[int], targets: Sequence[int], new: Sequence[bool]) -> list[int]:
        """Judge a list of distinct item keys, best first, by the distinct ``targets``.

        ``new``: whether each target is new to the user. Gives the place of each target, 1 for the first, 0 if it is
        not among the first 20.
        """
        place = {key: at for at, key in enumerate(ranked[:20], 1)}
        places = [place.get(target, 0) for target in targets]
        gain = 0.0
        for at, is_new in zip(places, new, strict=True):
            self._new += is_new
            if at:
                self._hits_20 += 1
                self._new_hits_20 += is_new
                self._reciprocal += 1.0 / at
                if at <= 10:
                    self._hits_10 += 1
                    gain += _GAINS[at - 1]
        if targets:
            self.lists += 1
            self.targets += len(targets)
            self._gain += gain / _IDEAL[min(len(targets), len(_IDEAL)) - 1]
        return places

    def metrics(self) -> dict[str, float]:
        """Shares in [0, 1] by the names of ``METRICS``; 0.0 where there was nothing to judge."""
        per_target, per_list, per_new = max(self.targets, 1), max(self.lists, 1), max(self._new, 1)
        values = (
            self._hits_10 / per_target,
            self._hits_20 / per_target,
            self._reciprocal / per_target,
            self._gain / per_list,
            self._new_hits_20 / per_new,
        )
        return dict(zip(METRICS, (round(value, 6) for value in values), strict=True))
