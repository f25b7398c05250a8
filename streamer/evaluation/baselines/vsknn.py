"""Nearest sessions: V-SKNN.

Ludewig, Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 28, 2018; the definition followed is
that of their reference implementation (session-rec, ``algorithms/knn/vsknn.py``, class ``VMContextKNN``) at its
defaults: of the sessions that share an item with the current one, the 1,000 most recent; their similarity is the sum,
over the distinct items shared, of the item's place in the current session (i-th of n: i / n) over n; the 100 most
similar are the neighbours; each adds to all its items its similarity over the number of steps back to the newest item
shared. Items of the current session are named too (``remind``).

What differs is what a stream asks for: a shopper is one session that grows, known to others as far as it has come, and
never a neighbour of itself; items are in the order last seen; of a session the newest 50 items are kept, of an item the
1,000 newest sessions; equally similar sessions go by recency, where the reference leaves it to chance.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.evaluation.baselines.base import best, newest, summed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.evaluation.baselines.base import Scores, Shopper

NEIGHBOURS: Final = 100
SAMPLE: Final = 1000
LENGTH: Final = 50
_NOTHING: Final = (np.zeros(0, np.int64), np.zeros(0))


class VSknn:
    """What the sessions most like the shopper's hold, the newest items in common counting most."""

    name = "v-sknn"

    def __init__(self) -> None:
        self._sessions: dict[int, array[int]] = {}
        self._items: NDArray[np.int32] = np.full((1024, LENGTH), -1, np.int32)
        self._used = np.zeros(1024, np.int64)
        self._last = np.zeros(1024, np.int64)
        self._similarity = np.zeros(1024)
        self._step = np.zeros(1024, np.int64)
        self._clock = 0

    def scores(self, shopper: Shopper) -> Scores:
        """As ``Scoring.scores``."""
        neighbours, weights = self.neighbours(shopper)
        items = self._items[neighbours]
        told = items >= 0
        return summed(items[told].astype(np.int64), np.broadcast_to(weights[:, None], items.shape)[told])

    def neighbours(self, shopper: Shopper) -> Scores:
        """The most similar sessions, by their shoppers' numbers, and how much each counts."""
        current = newest(shopper.history, LENGTH)[::-1]
        length = len(current)
        similarity, step = self._similarity, self._step
        sharing = []
        for at, item in enumerate(current, 1):
            sessions = self._sessions.get(item)
            if sessions is not None:
                found = np.array(sessions[-SAMPLE:], np.int64)
                similarity[found] += at / length
                step[found] = length - at + 1
                sharing.append(found)
        if not sharing:
            return _NOTHING
        similar = np.unique(np.concatenate(sharing))
        similar = similar[similar != shopper.number]
        if len(similar) > SAMPLE:
            similar = similar[np.argpartition(-self._last[similar], SAMPLE)[:SAMPLE]]
        order = np.lexsort((-self._last[similar], -similarity[similar]))[:NEIGHBOURS]
        nearest = similar[order]
        weights = similarity[nearest] / length / step[nearest]
        for found in sharing:
            similarity[found] = 0.0
        return nearest, weights

    def rank(self, shopper: Shopper, count: int) -> list[int]:
        """As ``Baseline.rank``."""
        return best(self.scores(shopper), count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:
        """As ``Baseline.see``."""
        number = shopper.number
        while number >= len(self._used):
            self._grow()
        self._clock += 1
        self._last[number] = self._clock
        for item in items:
            if item in shopper.history:
                continue
            self._items[number, self._used[number] % LENGTH] = item
            self._used[number] += 1
            sessions = self._sessions.setdefault(item, array("q"))
            sessions.append(number)
            if len(sessions) > 2 * SAMPLE:
                del sessions[:-SAMPLE]

    def _grow(self) -> None:
        size = len(self._used)
        self._items = np.concatenate((self._items, np.full((size, LENGTH), -1, np.int32)))
        self._used, self._last, self._step = (
            np.concatenate((old, np.zeros(size, np.int64))) for old in (self._used, self._last, self._step)
        )
        self._similarity = np.concatenate((self._similarity, np.zeros(size)))
