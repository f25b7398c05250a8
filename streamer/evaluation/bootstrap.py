"""How sure the figures are: bootstrap intervals, drawing users anew.

What one user's lists are worth hangs together, so users are drawn and not targets (a cluster bootstrap: Davison,
Hinkley, "Bootstrap methods and their application", 1997, section 3.8), with percentile intervals. All rankings are
judged on the same draws; so an interval of a difference is paired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.evaluation.judge import METRICS, by_list, means

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from streamer.evaluation.judge import Asked

    Floats = NDArray[np.float64]
    Interval = tuple[float, float]
    Difference = tuple[float, float, float]

LEVEL: Final = 0.95
_TAILS: Final = (50 * (1 - LEVEL), 100 - 50 * (1 - LEVEL))


class Draws:
    """Metrics of several rankings under each draw of the users.

    ``found`` [rankings, metrics] are those of the sample itself, ``drawn`` [replicates, rankings, metrics].
    """

    def __init__(self, asked: Asked, places: Mapping[str, Sequence[int]], replicates: int, seed: int = 1) -> None:
        self.names = list(places)
        users, own = np.unique(np.array(asked.users, np.int64), return_inverse=True)
        judged = [by_list(asked, each) for each in places.values()]
        shape = (len(users), len(judged), len(METRICS))
        worth = np.zeros(shape)
        counts = np.zeros((len(users), 3))
        for at, (sums, _) in enumerate(judged):
            np.add.at(worth[:, at], own, sums)
        if judged:
            np.add.at(counts, own, judged[0][1])
        flat = worth.reshape(len(users), -1)
        self.found = means(worth.sum(axis=0), counts.sum(axis=0))
        self.drawn = np.zeros((replicates, *shape[1:]))
        random = np.random.Generator(np.random.PCG64(seed))
        for at in range(replicates if len(users) else 0):
            times = np.bincount(random.integers(0, len(users), len(users)), minlength=len(users)).astype(np.float64)
            self.drawn[at] = means((times @ flat).reshape(shape[1:]), times @ counts)

    def interval(self, name: str) -> dict[str, Interval]:
        """Of each metric of a ranking."""
        return self._tails(self.drawn[:, self.names.index(name)])

    def difference(self, name: str, other: str) -> dict[str, Difference]:
        """Of each metric: by how much ``name`` is above ``other``, and the interval of that."""
        one, two = self.names.index(name), self.names.index(other)
        tails = self._tails(self.drawn[:, one] - self.drawn[:, two])
        above = (self.found[one] - self.found[two]).tolist()
        return {metric: (round(by, 6), *tails[metric]) for metric, by in zip(METRICS, above, strict=True)}

    def _tails(self, drawn: Floats) -> dict[str, Interval]:
        low, high = np.percentile(drawn, _TAILS, axis=0).tolist()
        return {metric: (round(one, 6), round(two, 6)) for metric, one, two in zip(METRICS, low, high, strict=True)}
