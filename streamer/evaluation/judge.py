"""Judges ranked lists by the items that followed."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# 1 / log2(place + 1) for places 1, 2, … 10, to twelve digits: a table, so that no machine's logarithm shows.
_GAINS: Final = (
    1.0, 0.630929753571, 0.5, 0.430676558073, 0.386852807235,
    0.356207187108, 0.333333333333, 0.315464876786, 0.301029995664, 0.289064826318,
)  # fmt: skip
_GAIN_AT: Final = np.array([0.0, *_GAINS, *[0.0] * 10])
_RECIPROCAL_AT: Final = np.array([0.0, *(1.0 / place for place in range(1, 21))])
_IDEAL: Final = np.cumsum(_GAINS)
METRICS: Final = ("hr@10", "hr@20", "mrr@20", "ndcg@10", "hr@20_new")
PER: Final = (0, 0, 0, 1, 2)
"""What each metric is a mean over: 0 targets, 1 lists, 2 targets new to the user."""


class Asked:
    """What lists were judged by, the same for all rankings: whose each was, its targets, which of these were new.

    Compact: bytes and small numbers. ``users`` [lists] are numbers given at first sight, ``sizes`` [lists] counts of
    targets, ``new`` [targets] 0 or 1.
    """

    def __init__(self) -> None:
        self.users = array("I")
        self.sizes = array("I")
        self.new = array("B")

    def add(self, user: int, new: Sequence[bool]) -> None:
        """Another list, by the newness of its targets; one without a target is none."""
        if new:
            self.users.append(user)
            self.sizes.append(len(new))
            self.new.extend(new)

    @property
    def lists(self) -> int:
        """How many."""
        return len(self.sizes)

    @property
    def targets(self) -> int:
        """How many, in all lists."""
        return len(self.new)


class Judge:
    """Where the targets of the lists were, in one ranking. ``places`` [targets]: 1 for the first, 0 for a miss."""

    def __init__(self) -> None:
        self.places = array("B")

    def add(self, ranked: Sequence[int], targets: Sequence[int]) -> list[int]:
        """Judge a list of distinct items, best first, by the distinct ``targets``; gives the place of each."""
        place = {item: at for at, item in enumerate(ranked[:20], 1)}
        places = [place.get(target, 0) for target in targets]
        self.places.extend(places)
        return places


def by_list(asked: Asked, places: Sequence[int]) -> tuple[Floats, Floats]:
    """What the lists were worth, and what could be had: sums of each metric [lists, metrics], counts [lists, 3].

    A metric is its sum over the sum of its count (``PER``). Hit rates and the reciprocal rank judge each target on its
    own, nDCG judges a list.
    """
    place = np.frombuffer(bytes(places), np.uint8)
    size = np.array(asked.sizes, np.int64)
    new = np.frombuffer(asked.new.tobytes(), np.uint8)
    counts = np.zeros((len(size), 3))
    worth = np.zeros((len(size), len(METRICS)))
    if len(size):
        each = np.repeat(np.arange(len(size)), size)
        hit = place > 0
        gains = np.bincount(each, _GAIN_AT[place], len(size))
        counts[:, 0], counts[:, 1], counts[:, 2] = size, 1.0, np.bincount(each, new, len(size))
        worth[:, 0] = np.bincount(each, hit & (place <= 10), len(size))
        worth[:, 1] = np.bincount(each, hit, len(size))
        worth[:, 2] = np.bincount(each, _RECIPROCAL_AT[place], len(size))
        worth[:, 3] = gains / _IDEAL[np.minimum(size, len(_IDEAL)) - 1]
        worth[:, 4] = np.bincount(each, hit & (new > 0), len(size))
    return worth, counts


def means(worth: Floats, counts: Floats) -> Floats:
    """Metrics [..., metrics] of sums [..., metrics] and counts [..., 3]; 0 where there was nothing to judge."""
    return worth / np.maximum(counts[..., PER], 1e-300) * (counts[..., PER] > 0)


def metrics(asked: Asked, places: Sequence[int]) -> dict[str, float]:
    """Shares in [0, 1] by the names of ``METRICS``; 0.0 where there was nothing to judge."""
    worth, counts = by_list(asked, places)
    found = means(worth.sum(axis=0), counts.sum(axis=0)).tolist()
    return dict(zip(METRICS, (round(value, 6) for value in found), strict=True))
