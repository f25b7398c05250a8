"""Sums of fixed-point scores by query and item, and the best of them: exact, whatever the order they are added in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.runs import begins

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
    starts = begins(both)
    if not len(starts):
        return starts, starts, starts
    sums: Ints = np.add.reduceat(code & _MOST, starts)
    both = both.take(starts)
    return both >> bits, both & ((1 << bits) - 1), sums


def best(query: Ints, score: Ints, keys: NDArray[np.uint64], count: int) -> Ints:
    """The rows of each query's ``count`` best, best first, ties to the smaller key, in order of query.

    ``query`` is sorted; scores are from 0 to 2^31. A ``count`` of 0 switches a generator off.
    """
    rows = len(query)
    if not rows or count < 1:
        return np.zeros(0, np.int64)
    starts = begins(query)
    if len(starts) == 1 and rows <= _SHORT:
        return np.lexsort((keys, -score))[:count]
    # Sorting by keys is slow, and only those at least as good as the last that is chosen need it: they are found by
    # one sort of plain integers.
    sizes = np.empty(len(starts), np.int64)
    np.subtract(starts[1:], starts[:-1], out=sizes[:-1])
    sizes[-1] = rows - starts[-1]
    falling = (query << _SCORE_BITS) | (_HIGHEST - score)
    ranked = np.sort(falling)
    last = ranked.take(starts + np.minimum(sizes, count) - 1)
    left: Ints = (falling <= last.repeat(sizes)).nonzero()[0]
    order = left.take(np.lexsort((keys.take(left), falling.take(left))))
    queries = query.take(order)
    starts = begins(queries)
    sizes[:-1] = starts[1:] - starts[:-1]
    sizes[-1] = len(order) - starts[-1]
    place = np.arange(len(order)) - starts.repeat(sizes)
    return order[place < count]


_AMOUNT_BITS: Final = 20
_MOST: Final = (1 << _AMOUNT_BITS) - 1
_SCORE_BITS: Final = 32
_HIGHEST: Final = (1 << _SCORE_BITS) - 1
_SHORT: Final = 256
