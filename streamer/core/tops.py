"""The best of an item index: of all items by trend, of each group by popularity; bounded lists, kept as rows come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.decay import NOTHING
from streamer.core.names import NONE
from streamer.core.toplist import TopList

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex

    Dense = NDArray[np.int64]

GROUPINGS: Final = ("category", "line", "band")
"""The ways items are grouped, each an array of the index: an item is in one group of each, or in none."""
_TRENDING: Final = 128
_IN_GROUP: Final = 32
_NO_IDS: Final = np.zeros(0, np.int64)


class Tops:
    """Of all items the 128 of highest trend; of each category, line and price band the 32 most popular."""

    __slots__ = ("_groups", "_index", "_trending")

    def __init__(self, index: ItemIndex) -> None:
        self._index = index
        self._trending = TopList(_TRENDING)
        self._groups: dict[str, dict[int, TopList]] = {grouping: {} for grouping in GROUPINGS}

    def put(self, item: int, trend: float, popularity: float) -> None:
        """An item (dense) has these levels now, in the index too."""
        self._trending.offer(item, trend)
        if self._trending.crowded:
            self.trending()
        for grouping in GROUPINGS:
            group = int(getattr(self._index, grouping)[item])
            if group != NONE:
                self._top_of(grouping, group).offer(item, popularity)

    def regroup(self, grouping: str, item: int, group: int) -> None:
        """An item is in this group of a grouping, or in none, from now on."""
        members = getattr(self._index, grouping)
        before = int(members[item])
        if before != group:
            members[item] = group
            if before != NONE:
                self._top_of(grouping, before).offer(item, NOTHING)
            if group != NONE:
                self._top_of(grouping, group).offer(item, float(self._index.popularity[item]))

    def trending(self) -> Dense:
        """The items of the highest trend, highest first, ties to the smaller key; at most 128."""
        top, index = self._trending, self._index
        return top.order(index.trend, index.keys, np.arange(len(index)) if top.stale else _NO_IDS)

    def of(self, grouping: str, group: int) -> Dense:
        """The most popular items of a group (its id), most popular first; at most 32.

        ``grouping`` is one of ``GROUPINGS``.
        """
        top, index = self._groups[grouping].get(group), self._index
        if top is None:
            return _NO_IDS
        members = getattr(index, grouping)[: len(index)]
        return top.order(index.popularity, index.keys, np.flatnonzero(members == group) if top.stale else _NO_IDS)

    def _top_of(self, grouping: str, group: int) -> TopList:
        groups = self._groups[grouping]
        top = groups.get(group)
        if top is None:
            top = groups[group] = TopList(_IN_GROUP)
        elif top.crowded:
            self.of(grouping, group)
        return top
