"""After how long a thing is bought again: gaps between two purchases of an item by one shopper, as a histogram.

An item's histogram is a node (``leads.py``) whose neighbours are places on a scale of time instead of items: integers
that add up in any order, fade like everything else of an item, and are bounded, as there are ``len(GAPS)`` of them. Of
a category there is another. The cycle is the median: a gap of a year, when somebody was away, or an order that was sent
in two parts moves it by one place at most, where a mean would follow.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.events import key64
from streamer.core.exactmath import exp2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHORTEST_S: Final = 12 * 3600
"""What is bought again sooner belongs to the same purchase."""

_PER_OCTAVE: Final = 3
_OCTAVES: Final = 10
_BEGINS_S: Final = tuple(int(SHORTEST_S * exp2(n / _PER_OCTAVE)) for n in range(_PER_OCTAVE * _OCTAVES))

GAPS: Final = tuple(key64(f"node/gap/{place}") for place in range(len(_BEGINS_S)))
"""The keys of the places: thirds of an octave from 12 hours to 512 days; the last has all that is longer."""

_ITEM: Final = key64("node/bought again")
_CATEGORY: Final = key64("node/category bought again")


def item_again(key: int) -> int:
    """The node of after how long an item, by key, is bought again."""
    return key ^ _ITEM


def category_again(group: int) -> int:
    """The node of after how long an item of a category, by ``group_key``, is bought again."""
    return group ^ _CATEGORY


def place_of(gap_s: int) -> int | None:
    """The place of a gap in ``GAPS``; ``None`` for one too short to be any."""
    return bisect_right(_BEGINS_S, gap_s) - 1 if gap_s >= SHORTEST_S else None


def medians_ms(histograms: Floats) -> Floats:
    """The median gap, in milliseconds, of each histogram [n, len(GAPS)], none of which is empty.

    Within its place gaps are taken to be spread evenly over the logarithm of time.
    """
    reached = histograms.cumsum(axis=1)
    half = reached[:, -1] / 2
    place = (reached >= half[:, None]).argmax(axis=1)
    rows = np.arange(len(histograms))
    here = histograms[rows, place]
    within = (half - (reached[rows, place] - here)) / here
    found: Floats = SHORTEST_S * 1000.0 * exp2((place + within) / _PER_OCTAVE)
    return found
