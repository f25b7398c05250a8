"""The strongest neighbours of each entry of an item index, in arrays that are filled only where somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.items.state import strongest
from streamer.core.names import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from streamer.core.items.state import ItemState

    Dense = NDArray[np.int64]

NEIGHBOURS: Final = 32
_INFINITY: Final = float("inf")


class Neighbours:
    """Dense ids of at most 32 neighbours of each, and their amounts, strongest first, ties to the smaller key."""

    __slots__ = ("_amounts", "_mention", "_neighbours", "_pending")

    def __init__(self, mention: Callable[[int], int], capacity: int) -> None:
        """``mention`` gives the dense id of a key, a new one to one that it never met; that may call ``grow``."""
        self._mention = mention
        self._pending: dict[int, tuple[bytes, bytes] | ItemState] = {}
        self._neighbours = np.full((capacity, NEIGHBOURS), NONE, np.int32)
        self._amounts = np.zeros((capacity, NEIGHBOURS), np.float32)

    def grow(self, capacity: int) -> None:
        """Have room for so many entries, of which the last stays empty."""
        for name, empty in (("_neighbours", NONE), ("_amounts", 0)):
            old = getattr(self, name)
            new = np.full((capacity, NEIGHBOURS), empty, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def put(self, item: int, raw: tuple[bytes, bytes] | ItemState) -> None:
        """An entry (dense) has the neighbours of a row, keys (uint64) and amounts (float32), or those of a state."""
        self._pending[item] = raw

    def of(self, items: Dense, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Of each: dense ids [n, count], ``NONE`` where there are fewer, and amounts [n, count]."""
        if self._pending:
            for item in items.tolist():
                raw = self._pending.pop(item, None)
                if raw is not None:
                    self._resolve(item, raw)
        return self._neighbours[items, :count], self._amounts[items, :count]

    def _resolve(self, item: int, raw: tuple[bytes, bytes] | ItemState) -> None:
        if isinstance(raw, tuple):
            keys, amounts = np.frombuffer(raw[0], "<u8").tolist(), np.frombuffer(raw[1], "<f4").tolist()
            pairs = [(key, amount) for key, amount in zip(keys, amounts, strict=True) if 0.0 < amount < _INFINITY]
        else:
            # As the published row would have them: amounts compare after rounding to single precision.
            best = strongest(raw.neighbours(), NEIGHBOURS)
            pairs = list(zip(best, np.array(list(best.values()), np.float32).tolist(), strict=True))
        pairs.sort(key=_strongest_first)
        del pairs[NEIGHBOURS:]
        count = len(pairs)
        # First, since a mention may grow the arrays.
        ids = [self._mention(key) for key, _ in pairs]
        self._neighbours[item, :count] = ids
        self._neighbours[item, count:] = NONE
        self._amounts[item, :count] = [amount for _, amount in pairs]
        self._amounts[item, count:] = 0


def _strongest_first(pair: tuple[int, float]) -> tuple[float, int]:
    return -pair[1], pair[0]
