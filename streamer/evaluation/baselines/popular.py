"""What is seen most, ever or lately: everybody gets the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.evaluation.baselines.base import Shopper

_KEPT: Final = 128
_HALF_LIFE_LINES: Final = 5000
_RESCALE: Final = 1e200


class _Best:
    """The greatest of scores that only rise; ties to what was there first."""

    def __init__(self) -> None:
        self.scores: dict[int, float] = {}
        self.top: list[int] = []
        self._inside: set[int] = set()

    def add(self, item: int, amount: float) -> None:
        scores, top = self.scores, self.top
        score = scores[item] = scores.get(item, 0.0) + amount
        if item in self._inside:
            at = top.index(item)
        elif len(top) < _KEPT:
            at = len(top)
            top.append(item)
            self._inside.add(item)
        elif score > scores[top[-1]]:
            at = _KEPT - 1
            self._inside.discard(top[at])
            self._inside.add(item)
            top[at] = item
        else:
            return
        while at and scores[top[at - 1]] < score:
            top[at] = top[at - 1]
            at -= 1
        top[at] = item

    def first(self, count: int) -> list[int]:
        if count <= len(self.top) or len(self.top) == len(self.scores):
            return self.top[:count]
        scores = self.scores
        return sorted(scores, key=scores.__getitem__, reverse=True)[:count]


class Popularity:
    """The items seen most often so far."""

    name = "popularity"

    def __init__(self) -> None:
        self._best = _Best()

    def rank(self, shopper: Shopper, count: int) -> list[int]:  # noqa: ARG002 - everybody gets the same
        """As ``Baseline.rank``."""
        return self.first(count)

    def first(self, count: int) -> list[int]:
        """The most popular."""
        return self._best.first(count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:  # noqa: ARG002
        """As ``Baseline.see``."""
        for item in items:
            self._best.add(item, 1.0)


class Trending:
    """The items seen most often lately: a sighting counts half as much after every 5,000 more of any item."""

    name = "trending"

    def __init__(self) -> None:
        self._best = _Best()
        self._worth = 1.0
        self._growth = 2.0 ** (1.0 / _HALF_LIFE_LINES)

    def rank(self, shopper: Shopper, count: int) -> list[int]:  # noqa: ARG002
        """As ``Baseline.rank``."""
        return self._best.first(count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:  # noqa: ARG002
        """As ``Baseline.see``."""
        best = self._best
        for item in items:
            best.add(item, self._worth)
            # The newest sighting grows in worth instead of all others fading, so that scores only ever rise.
            self._worth *= self._growth
        if self._worth > _RESCALE:
            self._worth /= _RESCALE
            best.scores = {item: score / _RESCALE for item, score in best.scores.items()}
