"""Trying out what may be better than it looks: Thompson's choice, with the exact probability of what was chosen.

A share of the decisions does not take the best item but draws one of the best few, each with the probability that it
is the best of them, given how uncertain their scores are (Thompson, Biometrika 25, 1933; Chapelle, Li, NIPS 2011). An
item's log-odds are taken to be logistic around its score; the precision is that of a prior and what its sightings tell,
``n p (1 - p)`` of them (the Laplace approximation of a logistic likelihood). So what is new and what is close is
tried, and what is well known to be worse is not.

Usually one draws a score of each item and takes the greatest; then nobody knows how probable that was, and a log of it
is worth little. Here the probabilities are worked out first, by a sum over a grid, and made into integers; the choice
is drawn from those integers by the event's own hash. So however coarse the grid, the propensity in the log is
the probability by which the item was drawn, to the last of 64 bits, and a replay draws the same.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import exp2, log2, sigmoid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_PRIOR_VARIANCE: Final = 1.0
"""Of the log-odds of an item that nobody has seen."""
_SCALE: Final = 0.5513288954217921
"""sqrt(3) / pi: the scale of a logistic distribution of standard deviation 1."""
_LN2: Final = 0.6931471805599453
_CELLS: Final = 256
_TAILS: Final = 12.0
_UNIT: Final = 1 << 30
_LEAST: Final = 2.0**-21


def chances(p: Floats, sightings: Floats) -> list[int]:
    """How probable it is of each item to be the best, as integers of at least 1 that stand to one another as these do.

    ``p`` [n]: their probabilities, ``sightings`` [n]: how often each was seen. n is small; at least 1.
    """
    held = np.minimum(np.maximum(p, _LEAST), 1.0 - _LEAST)
    centre = (log2(held) - log2(1.0 - held)) * _LN2
    scale = _SCALE / np.sqrt(1.0 / _PRIOR_VARIANCE + sightings * held * (1.0 - held))
    low, high = float((centre - _TAILS * scale).min()), float((centre + _TAILS * scale).max())
    edges = low + (high - low) / _CELLS * np.arange(_CELLS + 1)
    below = sigmoid((edges[None, :] - centre[:, None]) / scale[:, None])
    mass, middle = below[:, 1:] - below[:, :-1], 0.5 * (below[:, 1:] + below[:, :-1])
    found = []
    for item in range(len(p)):
        others = np.delete(middle, item, axis=0)
        # All the others lie below: a product row by row, then a sum in index order.
        best = np.cumsum(mass[item] * np.multiply.reduce(others, axis=0))[-1]
        found.append(max(1, int(best * _UNIT + 0.5)))
    return found


def draw(weights: Sequence[int], share: float, drawn: int, *, bits: int = 64) -> tuple[int, float]:
    """A place, and exactly how probable it was.

    With probability ``share`` a place by the ``weights``, else 0, the best. ``drawn`` is uniform over ``bits`` bits.
    """
    explored, ends = _ends(weights, share, bits)
    place = 0
    if drawn < explored:
        place = next(at for at, end in enumerate(ends) if drawn < end)
    return place, propensities(weights, share, bits=bits)[place]


def propensities(weights: Sequence[int], share: float, *, bits: int = 64) -> list[float]:
    """How probable each place is to be the one that ``draw`` gives."""
    whole = 1 << bits
    explored, ends = _ends(weights, share, bits)
    ways = [end - before for before, end in zip((0, *ends), ends, strict=False)]
    ways[0] += whole - explored
    return [each / whole for each in ways]


def _ends(weights: Sequence[int], share: float, bits: int) -> tuple[int, list[int]]:
    """What is drawn below the first number is explored; of that, place i has what is below its end and no earlier."""
    whole = 1 << bits
    explored = min(whole, max(0, int(share * whole)))
    total = sum(weights)
    return explored, [-(-so_far * explored // total) for so_far in accumulate(weights)]


def sightings_of(popularity: Floats) -> Floats:
    """Of the feature ``popularity`` [n], which is log2 of the faded sightings over 8."""
    return exp2(popularity * 8.0)
