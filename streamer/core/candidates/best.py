"""Sums of fixed-point scores by query and item, and the best of them: exact, whatever the order they are added in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

ONE: Final = 1 << 10
"""The fixed-point one of scores that are summed here."""


def summed(query: Ints, thing: Ints, amount: Ints, things: int) -> tuple[Ints, Ints, Ints]:
    """The amounts added up by query and thing (in ``range(things)``): queries, things and sums, sorted by both.

    Amounts are from 0 to 2^20, of which none counts for more. One sort of plain integers does it.
    """
    bits = max(things, 1).bit_length()
    code: Ints = (((query << bits) | thing) << _AMOUNT_BITS) | np.minimum(amount, _MOST)
    code.sort()
    both = code >> _AMOUNT_BITS
    starts = np.flatnonzero(np.concatenate((_ONE_TRUE[: len(both)], both[1:] != both[:-1])))
    if not len(starts):
        return starts, starts, starts
    sums: Ints = np.add.reduceat(code & _MOST, starts)
    both = both.take(starts)
    return both >> bits, both & ((1 << bits) - 1), sums


def best(query: Ints, score: Ints, keys: NDArray[np.uint64], count: int) -> Ints:
    """The rows of each query's ``count`` best, best first, ties to the smaller key, in order of query.

    ``query`` is sorted; scores are from 0 to 2^31.
    """
    if not len(query):
        return np.zeros(0, np.int64)
    order = np.lexsort((keys, -score, query))
    sorted_query = query.take(order)
    first = np.flatnonzero(np.concatenate((_ONE_TRUE, sorted_query[1:] != sorted_query[:-1])))
    place = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    chosen: Ints = order[place < count]
    return chosen


_AMOUNT_BITS: Final = 20
_MOST: Final = (1 << _AMOUNT_BITS) - 1
_ONE_TRUE: Final = np.ones(1, np.bool_)
