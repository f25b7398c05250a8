"""The best of many by a level that mostly rises, kept exactly without ever sorting all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOWEST: Final = float("-inf")
_SLACK: Final = 2


class TopList:
    """The ``size`` best items by (level, then the smaller key).

    ``members`` always hold the true best: everything outside is at most ``floor``, and a level that sinks below it
    makes the list ``stale``, to be made anew from all items at the next reading. Members are let grow to a multiple of
    ``size`` before they are cut, so that an offer costs a comparison and seldom more.
    """

    __slots__ = ("_order", "floor", "members", "size", "stale")

    def __init__(self, size: int) -> None:
        self.size = size
        self.floor = _LOWEST
        self.members: set[int] = set()
        self.stale = False
        self._order: NDArray[np.int64] | None = None

    def offer(self, item: int, level: float) -> None:
        """Tell of an item's new level (``-inf``: it is out)."""
        if level >= self.floor and level > _LOWEST:
            self.members.add(item)
            self._order = None
        elif item in self.members:
            self.members.discard(item)
            self._order = None
            self.stale = self.stale or self.floor > _LOWEST

    def order(
        self, levels: NDArray[np.float64], keys: NDArray[np.uint64], everyone: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The best, best first, at most ``size``. ``everyone``: all who compete, read only if the list is stale."""
        if self.stale:
            self.members = set(everyone[levels[everyone] > _LOWEST].tolist())
            self.floor = _LOWEST
            self.stale = False
            self._order = None
        if self._order is None:
            members = np.fromiter(self.members, np.int64, len(self.members))
            best = members[np.lexsort((keys[members], -levels[members]))]
            if len(best) > _SLACK * self.size:
                best = best[: self.size]
                self.members = set(best.tolist())
                self.floor = float(levels[best[-1]])
            self._order = best[: self.size]
        return self._order

    @property
    def crowded(self) -> bool:
        """Whether members should be cut, by a reading, before more are added."""
        return self._order is None and len(self.members) > 2 * _SLACK * self.size
