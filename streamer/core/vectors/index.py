"""The vectors every worker knows, under the item index's dense ids, and how like each other they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.core.vectors.block import decode_block
from streamer.core.vectors.learner import BY_PLACE
from streamer.core.vectors.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.core.queries import Recents

    Floats = NDArray[np.float64]
    Halves = NDArray[np.float16]
    Ints = NDArray[np.int64]
    Keys = NDArray[np.uint64]

_RECENTS: Final = 8
_BY_PLACE: Final = np.array(BY_PLACE[:_RECENTS])
_FIRST: Final = 1024
_NO_KEYS: Final = np.zeros(0, np.uint64)
_NO_VECTORS: Final = np.zeros((0, 0), np.float16)


class VectorIndex:
    """A replica of the ``vec/`` blocks of topic ``model``.

    ``vectors`` float16 [capacity, size]; ``length`` float32 [capacity], 0 of an item without one. The last entry is
    kept empty: it is what ``NONE``, which is -1, reads. The width is that of the newest block: one of another makes
    all others go, as the trainer then learns anew.
    """

    def __init__(self, mention: Callable[[Sequence[int]], Ints]) -> None:
        """``mention`` gives the dense ids of item keys, new ones to new items."""
        self._mention = mention
        self._pending: dict[str, tuple[Keys, Halves]] = {}
        self._of_block: dict[str, Ints] = {}
        self.vectors: Halves = np.zeros((_FIRST, 0), np.float16)
        self.length = np.zeros(_FIRST, np.float32)
        self._scan: Scan | None = None

    def apply(self, name: str, value: bytes | None) -> None:
        """Take over a block; ``None`` forgets it. Raises ValueError if it is none: the index is then as it was."""
        self._pending[name] = (_NO_KEYS, _NO_VECTORS) if value is None else decode_block(value)

    def settle(self) -> None:
        """Put what came into the arrays."""
        pending, self._pending = self._pending, {}
        for name, (keys, vectors) in pending.items():
            if (before := self._of_block.pop(name, None)) is not None:
                self.length[before] = 0.0
                if self._scan is not None:
                    self._scan.forget(before)
            if len(keys):
                self._of_block[name] = self.put(keys, vectors)

    def put(self, keys: Keys, vectors: NDArray[np.floating[Any]]) -> Ints:
        """Take over vectors [n, size] of items [n]. Their dense ids."""
        vectors = vectors.astype(np.float16)
        if vectors.shape[1] != self.vectors.shape[1]:
            self._of_block.clear()
            self.vectors, self.length = np.zeros((_FIRST, vectors.shape[1]), np.float16), np.zeros(_FIRST, np.float32)
            self._scan = None
        at = self._mention(keys.tolist())
        while int(at.max(initial=0)) >= len(self.length) - 1:
            self.vectors = np.concatenate((self.vectors, np.zeros_like(self.vectors)))
            self.length = np.concatenate((self.length, np.zeros_like(self.length)))
        self.vectors[at] = vectors
        self.length[at] = np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1))
        if self._scan is not None:
            self._scan.put(at, vectors)
        return at

    @property
    def scan(self) -> Scan:
        """The search of all of them; kept up from the first time it is asked for."""
        if self._scan is None:
            self._scan = Scan(self.vectors.shape[1])
            known = np.flatnonzero(self.length)
            self._scan.put(known, self.vectors.take(known, axis=0))
        return self._scan

    def shoppers(self, count: int, recents: Recents) -> Floats:
        """The shoppers of so many queries [count, size]; zeros where nothing is known.

        A shopper is the mean of the newest items' vectors, the newer the more one counts.
        """
        if self._pending:
            self.settle()
        size = self.vectors.shape[1]
        shopper, total = np.zeros((count, size)), np.zeros(count)
        if not size:
            return shopper
        rows = np.flatnonzero(recents.place < _RECENTS)
        own, vectors = self._many(recents.item.take(rows))
        weight = np.where(own > 0.0, _BY_PLACE.take(recents.place.take(rows)), 0.0)
        # Added up in the order of the rows, so that no other query shows in a sum.
        np.add.at(shopper, recents.query.take(rows), vectors * weight[:, None])
        np.add.at(total, recents.query.take(rows), weight)
        shopper /= np.maximum(total, 1e-9)[:, None]
        return shopper

    def likeness(self, shoppers: Floats, query: Ints, item: Ints) -> tuple[Floats, Floats]:
        """How well items [n] fit the shoppers of their queries [n]: products and cosines [n], 0 where nothing is known.

        ``shoppers`` as the method of this name has them, of the index as it is.
        """
        if not shoppers.shape[1]:
            return np.zeros(len(item)), np.zeros(len(item))
        long, candidates = self._many(item)
        # Summed in index order along the row: the same bits however many rows there are.
        product: Floats = np.add.accumulate(candidates * shoppers.take(query, axis=0), axis=1)[:, -1]
        longest = np.sqrt(np.add.accumulate(shoppers * shoppers, axis=1)[:, -1]).take(query) * long
        return product, product / np.maximum(longest, 1e-9)

    def _many(self, items: Ints) -> tuple[Floats, Floats]:
        """Lengths [n] and vectors [n, size] of items; zeros of those without one."""
        at = np.where(items < len(self.length), items, -1)
        length = self.length.take(at, mode="wrap").astype(np.float64)
        vectors = np.where(length[:, None] > 0.0, self.vectors.take(at, axis=0, mode="wrap"), 0.0)
        return length, vectors.astype(np.float64)
