"""After how long an item is bought again, by what all shoppers did with it.

Of an item bought once a shopper has no rhythm yet, but the others have (``items/gaps.py``); where it was seldom bought
again, its category has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.exactmath import exp2
from streamer.core.items.gaps import GAPS, category_again, item_again, medians_ms
from streamer.core.names import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.retrieval_settings import ItemSettings

    Dense = NDArray[np.int64]
    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cycles:
    """What an item index knows of cycles."""

    index: ItemIndex
    settings: ItemSettings

    def of(self, keys: Sequence[int], now_ms: int) -> list[float]:
        """After how many milliseconds each item, by key, is bought again as of a time; 0 where too little is known."""
        index = self.index
        nodes = index.dense_many([item_again(key) for key in keys])
        found = self._medians(nodes, now_ms, self.settings.cycle_gaps)
        thin = (found == 0.0).nonzero()[0]
        if len(thin):
            category = index.category.take(index.dense_many([keys[at] for at in thin.tolist()]))
            groups = [0 if each == NONE else int(index.categories.keys_of(each)) for each in category]
            nodes = index.dense_many([category_again(group) for group in groups])
            nodes[category == NONE] = NONE
            found[thin] = self._medians(nodes, now_ms, self.settings.category_cycle_gaps)
        return list(found.tolist())

    def _medians(self, nodes: Dense, now_ms: int, least: float) -> Floats:
        """The median of each node that is known by at least so many gaps, faded as of now; 0 of the others."""
        index, found = self.index, np.zeros(len(nodes))
        at = (nodes != NONE).nonzero()[0]
        if not len(at):
            return found
        known = nodes.take(at)
        near, amounts = index.neighbours(known)
        places = index.dense_many(GAPS)
        # A place is a neighbour once at most, so that nothing is summed here.
        histograms = np.where(near[:, :, None] == places, amounts[:, :, None].astype(np.float64), 0.0).max(axis=1)
        histograms[:, places == NONE] = 0.0
        faded = index.pair_level.take(known) - now_ms / self.settings.interest_half_life_ms
        # One after the other, as ``medians_ms`` does.
        gaps = histograms.cumsum(axis=1)[:, -1] * exp2(faded)
        enough = (gaps >= least).nonzero()[0]
        found[at[enough]] = medians_ms(histograms[enough])
        return found
