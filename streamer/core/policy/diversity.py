"""A list that does not say the same thing twice: maximal marginal relevance, and a cap a category.

Greedily, each next place goes to the item with the greatest ``log2(odds) - bits * similarity``, where similarity is
that to the most similar item already in the list (Carbonell, Goldstein, "The use of MMR, diversity-based reranking",
SIGIR 1998; their lambda is ``1 / (1 + bits)``). So an item as similar as can be has to have ``2^bits`` times the
odds to be listed all the same. Similarity is of content, and needs no vectors: a half for the same category, a quarter
more for the same brand in it and another for the same price band in it, 0 where the category is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import log2
from streamer.core.names import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_LEAST: Final = 2.0**-21
"""Half of the grid of probabilities, so that the odds of 0 and of 1 are finite."""


def diversify(items: Ints, p: Floats, index: ItemIndex, count: int, *, bits: float, cap: int, first: int = 0) -> Ints:
    """Places of at most ``count`` of the ``items`` [n] (dense ids, best first; probabilities ``p`` [n]), in new order.

    ``first`` is the place that the first one has. ``bits`` 0 leaves the order alone, ``cap`` 0 the categories; with a
    cap there may be fewer than ``count``. Ties go to the better place.
    """
    n = len(items)
    if not n:
        return np.zeros(0, np.int64)
    category, line, band = index.category.take(items), index.line.take(items), index.band.take(items)
    # Of no category: alike to nothing, and no cap counts it.
    told = category != NONE
    held = np.minimum(np.maximum(p, _LEAST), 1.0 - _LEAST)
    worth = log2(held) - log2(1.0 - held)
    similarity = np.zeros(n)
    open_ = np.ones(n, np.bool_)
    chosen: list[int] = []
    place = first
    while True:
        chosen.append(place)
        open_[place] = False
        same = (category == category[place]) & told
        if cap and told[place] and int(same[chosen].sum()) >= cap:
            open_ &= ~same
        if len(chosen) >= count or not open_.any():
            return np.array(chosen, np.int64)
        alike = same * (0.5 + 0.25 * (line == line[place]) + 0.25 * (band == band[place]))
        np.maximum(similarity, alike, out=similarity)
        place = int(np.argmax(np.where(open_, worth - bits * similarity, -np.inf)))
