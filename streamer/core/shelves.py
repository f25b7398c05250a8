"""Items put up by how new they are, and by their trend within a category: bounded lists, kept as rows come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.names import NONE
from streamer.core.toplist import TopList

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex

    Dense = NDArray[np.int64]

_NEW: Final = 512
_RISING: Final = 32
_NOT: Final = float("-inf")
_NO_IDS: Final = np.zeros(0, np.int64)


class Shelves:
    """Of all items the newest and some that nobody has seen, at most 512 each; of a category the 32 of highest trend.

    As all of an index, they are a function of what it holds, whatever order it came in.
    """

    __slots__ = ("_category", "_index", "_lot", "_newest", "_newness", "_trending", "_unseen")

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._newest, self._unseen = TopList(_NEW), TopList(_NEW)
        self._trending: dict[int, TopList] = {}
        self._newness = np.full(64, _NOT)
        self._lot = np.full(64, _NOT)
        self._category = np.full(64, NONE, np.int32)

    def put(self, item: int) -> None:
        """An item (dense) has other sums or attributes than before."""
        index = self._index
        if item >= len(self._newness):
            self._grow(item)
        known, day, trend = bool(index.known[item]), float(index.first_day[item]), float(index.trend[item])
        seen = known and day < np.inf
        newness = day if seen else _NOT
        if newness != self._newness[item]:
            self._newness[item] = newness
            self._newest.offer(item, newness)
            if self._newest.crowded:
                self.newest()
        # Nobody knows which of the unseen came last: lots are drawn, by key.
        lot = -float(index.keys[item] >> np.uint64(11)) if known and not seen else _NOT
        if lot != self._lot[item]:
            self._lot[item] = lot
            self._unseen.offer(item, lot)
            if self._unseen.crowded:
                self.unseen()
        category = int(index.category[item]) if known else NONE
        before = int(self._category[item])
        if before != category:
            self._category[item] = category
            if before != NONE:
                self._trending[before].offer(item, _NOT)
        if category != NONE:
            top = self._trending.get(category)
            if top is None:
                top = self._trending[category] = TopList(_RISING)
            elif top.crowded:
                self.trending(category)
            top.offer(item, trend)

    def newest(self) -> Dense:
        """The items first seen last, the newest first, ties to the smaller key."""
        return self._newest.order(self._newness, self._index.keys, self._everyone(self._newest))

    def unseen(self) -> Dense:
        """Items that only the catalog knows of, in the order of lots drawn."""
        return self._unseen.order(self._lot, self._index.keys, self._everyone(self._unseen))

    def little_seen(self, views: int) -> Dense:
        """Of the newest and the unseen those of fewer views, in that order."""
        new = np.concatenate((self.newest(), self.unseen()))
        return new[self._index.views.take(new) < views]

    def trending(self, category: int) -> Dense:
        """The items of a category of the highest trend, highest first."""
        top = self._trending.get(category)
        if top is None:
            return _NO_IDS
        everyone = np.flatnonzero(self._category == category) if top.stale else _NO_IDS
        return top.order(self._index.trend, self._index.keys, everyone)

    def _everyone(self, top: TopList) -> Dense:
        return np.arange(len(self._newness)) if top.stale else _NO_IDS

    def _grow(self, item: int) -> None:
        size = max(self._index.capacity, item + 1)
        for name, empty in (("_newness", _NOT), ("_lot", _NOT), ("_category", NONE)):
            old = getattr(self, name)
            new = np.full(size, empty, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
