"""Search of all vectors for those with the greatest products with the shoppers', exact and the same on every machine.

Vectors are rounded to whole numbers small enough that any sum of their products is exact in float32; so a product is
the same in whatever order a BLAS adds it up, wherever an item lies, and whoever else asks. What is read of a vector is
four bytes a number: some 130 kB a thousand items, which is what a search costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.core.vectors.learner import FARTHEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Singles = NDArray[np.float32]

#: Whole numbers a unit of an item.
_ITEM: Final = 128.0
_MOST: Final = FARTHEST * _ITEM
_EXACT: Final = float(1 << 24) - 1.0
"""Whole numbers up to here are exact in float32."""
_FINEST: Final = 127.0
_FIRST: Final = 1024
_GROUP: Final = 64
_AT_ONCE: Final = 1 << 20
"""Products that are looked through at once, 4 MB."""
_SMALL: Final = 1 << 17
"""Products that a BLAS makes in the thread it is called from. More it shares out, and waits for a core to be free."""


class Scan:
    """Items' vectors in whole numbers, float32 [size, capacity]: a column an item, by dense ids; zeros for none."""

    def __init__(self, size: int) -> None:
        self._columns: Singles = np.zeros((size, _FIRST), np.float32)
        self._used = 0
        #: What a shopper's largest number becomes: as much as leaves all sums exact.
        self._shopper = min(_FINEST, _EXACT // (_MOST * max(size, 1)))

    @property
    def one(self) -> float:
        """What ``greatest`` makes of a product of 1 with a shopper whose largest number is 1."""
        return _ITEM * self._shopper

    def put(self, at: Ints, vectors: NDArray[np.floating[Any]]) -> None:
        """Take over vectors [n, size] of items [n]."""
        self._used = max(self._used, int(at.max(initial=-1)) + 1)
        while self._used > self._columns.shape[1]:
            self._columns = np.concatenate((self._columns, np.zeros_like(self._columns)), axis=1)
        self._columns[:, at] = np.clip(np.rint(vectors.T.astype(np.float32) * _ITEM), -_MOST, _MOST)

    def forget(self, at: Ints) -> None:
        """These items [n] have no vector any more."""
        self._columns[:, at] = 0.0

    def greatest(self, shoppers: Floats, own: tuple[Ints, Ints], count: int) -> tuple[Ints, Ints, Ints]:
        """Shoppers and items [n], in order of shoppers, and products as whole numbers from 1 to 2^24: of each shopper
        the ``count`` greatest and some more, where so many are above 0.

        ``shoppers`` float64 [s, size]. ``own``: shoppers, in order, and items [r] that are left out.
        """
        largest = np.abs(shoppers).max(axis=1, initial=0.0)
        whole = np.rint(shoppers * (self._shopper / np.maximum(largest, 1e-9))[:, None]).astype(np.float32)
        asks = (largest > 0.0).nonzero()[0]
        width = -(-self._used // _GROUP) * _GROUP
        queries, items, amounts = [_NONE], [_NONE], [_NONE]
        step = max(_AT_ONCE // max(width, 1), 1)
        for first in range(0, len(asks), step):
            some = asks[first : first + step]
            products = self._products(whole.take(some, axis=0), width)
            place = some.searchsorted(own[0])
            mine = ((some.take(place, mode="clip") == own[0]) & (own[1] < width)).nonzero()[0]
            products[place.take(mine), own[1].take(mine)] = 0.0
            rows = (products >= _least(products, count)).ravel().nonzero()[0]
            queries.append(some.take(rows // width))
            items.append(rows % width)
            amounts.append(products.ravel().take(rows).astype(np.int64))
        return np.concatenate(queries), np.concatenate(items), np.concatenate(amounts)

    def _products(self, shoppers: Singles, width: int) -> Singles:
        """Of each shopper with each of the first ``width`` items [shoppers, width]."""
        found = np.empty((len(shoppers), width), np.float32)
        step = max(_SMALL // max(shoppers.size, 1), 1)
        for start in range(0, width, step):
            end = min(start + step, width)
            np.matmul(shoppers, self._columns[:, start:end], out=found[:, start:end])
        return found


def _least(products: Singles, count: int) -> Singles:
    """Of each row [rows, 1] a number above 0 that its ``count`` greatest are not below.

    The greatest of each group are so many numbers of the row themselves, and much fewer to put in order.
    """
    groups = products.reshape(len(products), _GROUP, -1).max(axis=1)
    if groups.shape[1] <= count:
        return np.ones((len(products), 1), np.float32)
    least: Singles = np.partition(groups, -count, axis=1)[:, -count, None]
    return np.maximum(least, np.float32(1.0))


_NONE: Final = np.zeros(0, np.int64)
