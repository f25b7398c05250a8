"""What a recommender must beat: four rankings that anybody can write down in a line.

They see what the engine sees, in the same order, and give a list of 20 at the same moments. Ties go to the item seen
first. Where one has fewer than 20 items to name, popularity fills the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SIZE: Final = 20
History = dict[int, int]
"""A user's items: how often each was seen, the one seen last at the end."""

_HALF_LIFE_LINES: Final = 5000
_LOOK_BACK: Final = 5
_LINES: Final = 50
_NEIGHBOURS: Final = 200
_RESCALE: Final = 1e200


class Baseline(Protocol):
    """Ranks items for a user with a history, learning from every event."""

    name: str

    def rank(self, history: History) -> list[int]:
        """At most ``SIZE`` item keys, best first, from what was seen before."""
        ...

    def see(self, history: History, items: Sequence[int]) -> None:
        """Learn one event: the user's history before it, and the event's distinct items in order."""
        ...


class _Best:
    """The ``SIZE`` greatest of scores that only rise."""

    def __init__(self) -> None:
        self.scores: dict[int, float] = {}
        self.top: list[int] = []

    def add(self, item: int, amount: float) -> None:
        scores, top = self.scores, self.top
        score = scores[item] = scores.get(item, 0.0) + amount
        if item in top:
            at = top.index(item)
        elif len(top) < SIZE:
            at = len(top)
            top.append(item)
        elif score > scores[top[-1]]:
            at = SIZE - 1
            top[at] = item
        else:
            return
        while at and scores[top[at - 1]] < score:
            top[at] = top[at - 1]
            at -= 1
        top[at] = item


class Popularity:
    """The items seen most often so far."""

    name = "popularity"

    def __init__(self) -> None:
        self._best = _Best()

    def rank(self, history: History) -> list[int]:  # noqa: ARG002 - everybody gets the same
        """As ``Baseline.rank``."""
        return list(self._best.top)

    def see(self, history: History, items: Sequence[int]) -> None:  # noqa: ARG002
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

    def rank(self, history: History) -> list[int]:  # noqa: ARG002
        """As ``Baseline.rank``."""
        return list(self._best.top)

    def see(self, history: History, items: Sequence[int]) -> None:  # noqa: ARG002
        """As ``Baseline.see``."""
        best = self._best
        for item in items:
            best.add(item, self._worth)
            # The newest sighting grows in worth instead of all others fading, so that scores only ever rise.
            self._worth *= self._growth
        if self._worth > _RESCALE:
            self._worth /= _RESCALE
            best.scores = {item: score / _RESCALE for item, score in best.scores.items()}


class Repeat:
    """The user's own items: those seen most often first, and of these the newest."""

    name = "repeat"

    def __init__(self, popularity: Popularity) -> None:
        """``popularity`` fills up short lists; somebody else teaches it."""
        self._popularity = popularity

    def rank(self, history: History) -> list[int]:
        """As ``Baseline.rank``."""
        newest_first = reversed(list(history.items()))
        own = [item for item, _ in sorted(newest_first, key=lambda pair: -pair[1])[:SIZE]]
        return _filled(own, self._popularity)

    def see(self, history: History, items: Sequence[int]) -> None:
        """Nothing to learn: the history says it all."""


class CoVisitation:
    """Items seen by others next to this user's newest ones, by how often; the newer of the user's, the more it says."""

    name = "co-visitation"

    def __init__(self, popularity: Popularity) -> None:
        """``popularity`` fills up short lists; somebody else teaches it."""
        self._popularity = popularity
        self._pairs: dict[int, dict[int, int]] = {}

    def rank(self, history: History) -> list[int]:
        """As ``Baseline.rank``."""
        scores: dict[int, float] = {}
        share = 1.0
        for item in _newest(history, 2 * _LOOK_BACK):
            for other, count in self._pairs.get(item, {}).items():
                scores[other] = scores.get(other, 0.0) + count * share
            share *= 0.8
        return _filled(sorted(scores, key=scores.__getitem__, reverse=True)[:SIZE], self._popularity)

    def see(self, history: History, items: Sequence[int]) -> None:
        """As ``Baseline.see``: each item is a pair with the five items before it."""
        before = _newest(history, _LOOK_BACK)[::-1]
        for item in items[:_LINES]:
            if item in before:
                before.remove(item)
            for other in before[-_LOOK_BACK:]:
                self._count(item, other)
                self._count(other, item)
            before.append(item)

    def _count(self, item: int, other: int) -> None:
        row = self._pairs.setdefault(item, {})
        row[other] = row.get(other, 0) + 1
        if len(row) > _NEIGHBOURS:
            kept = sorted(row, key=row.__getitem__, reverse=True)[: _NEIGHBOURS // 2]
            self._pairs[item] = {key: row[key] for key in kept}


def _newest(history: History, count: int) -> list[int]:
    return [item for item, _ in zip(reversed(history), range(count), strict=False)]


def _filled(items: list[int], popularity: Popularity) -> list[int]:
    if len(items) < SIZE:
        named = set(items)
        items += [item for item in popularity.rank({}) if item not in named][: SIZE - len(items)]
    return items


def baselines(which: str) -> list[Baseline]:
    """The baselines of a choice: ``none``, ``cheap`` (all but co-visitation) or ``all``."""
    popularity = Popularity()
    cheap: list[Baseline] = [popularity, Trending(), Repeat(popularity)]
    return {"none": [], "cheap": cheap, "all": [*cheap, CoVisitation(popularity)]}[which]


def remember(history: History, items: Iterable[int]) -> None:
    """Put an event's distinct items into its user's history."""
    for item in items:
        history[item] = history.pop(item, 0) + 1
