"""Items by the items they were seen with: counts of pairs."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.evaluation.baselines.base import best, newest, summed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.evaluation.baselines.base import Floats, Ints, Scores, Shopper

_LOOK_BACK: Final = 5
_LINES: Final = 50
_NEIGHBOURS: Final = 200
_BASKET: Final = 50
_NOTHING: Final = (np.zeros(0, np.int64), np.zeros(0))


class _Pairs:
    """How often two items were seen together: of each item at most ``_NEIGHBOURS`` others, the weakest half dropped."""

    def __init__(self) -> None:
        self.rows: dict[int, dict[int, int]] = {}

    def count(self, item: int, other: int) -> None:
        row = self.rows.setdefault(item, {})
        row[other] = row.get(other, 0) + 1
        if len(row) > _NEIGHBOURS:
            kept = sorted(row, key=row.__getitem__, reverse=True)[: _NEIGHBOURS // 2]
            self.rows[item] = {key: row[key] for key in kept}

    def of(self, item: int) -> tuple[Ints, Floats]:
        """The others and their counts."""
        row = self.rows.get(item)
        if row is None:
            return _NOTHING
        return np.fromiter(row, np.int64, len(row)), np.fromiter(row.values(), np.float64, len(row))


class CoVisitation:
    """Items seen by others next to this user's newest ones, by how often; the newer of the user's, the more it says."""

    name = "co-visitation"

    def __init__(self) -> None:
        self.pairs = _Pairs()

    def scores(self, shopper: Shopper) -> Scores:
        """As ``Scoring.scores``."""
        share = 1.0
        found = [_NOTHING]
        for item in newest(shopper.history, 2 * _LOOK_BACK):
            others, counts = self.pairs.of(item)
            found.append((others, counts * share))
            share *= 0.8
        return summed(np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]))

    def rank(self, shopper: Shopper, count: int) -> list[int]:
        """As ``Baseline.rank``."""
        return best(self.scores(shopper), count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:
        """As ``Baseline.see``: each item is a pair with the five items before it."""
        before = newest(shopper.history, _LOOK_BACK)[::-1]
        for item in items[:_LINES]:
            if item in before:
                before.remove(item)
            for other in before[-_LOOK_BACK:]:
                self.pairs.count(item, other)
                self.pairs.count(other, item)
            before.append(item)


class ItemCosine:
    """Items by the cosine of the users who had them, summed over what the shopper had.

    Item-based top-N (Deshpande, Karypis, "Item-based top-N recommendation algorithms", TOIS 22, 2004): the similarity
    of two items is the number of users of both over the root of the product of the users of each. A new item of a
    user is counted with their 50 newest others; the 50 newest are summed over.
    """

    name = "item-cosine"

    def __init__(self) -> None:
        self.pairs = _Pairs()
        self._users = np.zeros(1024)

    def scores(self, shopper: Shopper) -> Scores:
        """As ``Scoring.scores``."""
        found = [_NOTHING]
        for item in newest(shopper.history, _BASKET):
            others, counts = self.pairs.of(item)
            found.append((others, counts / sqrt(max(self._users[item], 1.0))))
        items, sums = summed(np.concatenate([f[0] for f in found]), np.concatenate([f[1] for f in found]))
        return items, sums / np.sqrt(self._users[items])

    def rank(self, shopper: Shopper, count: int) -> list[int]:
        """As ``Baseline.rank``."""
        return best(self.scores(shopper), count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:
        """As ``Baseline.see``."""
        if items and max(items) >= len(self._users):
            self._users = np.concatenate((self._users, np.zeros(max(len(self._users), *items))))
        before = newest(shopper.history, _BASKET)
        for item in items:
            if item in shopper.history:
                continue
            self._users[item] += 1.0
            for other in before[-_BASKET:]:
                self.pairs.count(item, other)
                self.pairs.count(other, item)
            before.append(item)
