"""New items for shoppers whose newest ones are alike, so that what nobody has seen yet can be found at all.

Nothing else proposes an item before somebody touched it. An item is alike by category and brand, by category and price,
or by category alone, and gets a bonus for how little is known of it, as in upper confidence bounds (Auer, Cesa-Bianchi,
Fischer, "Finite-time analysis of the multiarmed bandit problem", Machine Learning 47, 2002).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.best import best
from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.affinities import Affinities
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]

_FIXED: Final = 1 << 20
_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """The newest items with few views, and some that were never seen.

    Score: the shares of the newest items that are alike, over the square root of one more than the views; times a
    number from ½ to 1 drawn for shopper and item, so that not all shoppers are offered the same few.
    """
    if not any(len(of.group) for of in (asked.lines, asked.bands, asked.categories)):
        return Proposals(_NONE, _NONE, (_NO_SCORES,))
    new = index.shelves.little_seen(settings.fresh_views)
    if not len(new) or not asked.count:
        return Proposals(_NONE, _NONE, (_NO_SCORES,))
    alike = _shares(asked.lines, index.line.take(new), len(index.lines))
    alike += _shares(asked.bands, index.band.take(new), len(index.bands))
    alike += _shares(asked.categories, index.category.take(new), len(index.categories))
    query, at = (alike > 0.0).nonzero()
    item = new.take(at)
    drawn = ((index.keys.take(item) ^ asked.owner.take(query)) * _MIX) >> np.uint64(44)
    score = alike[query, at] / np.sqrt(1.0 + index.views.take(item)) * (0.5 + drawn.astype(np.float64) * 2.0**-21) / 3.0
    chosen = best(query, (score * _FIXED).astype(np.int64), index.keys.take(item), settings.fresh_items)
    return Proposals(query.take(chosen), item.take(chosen), (score.take(chosen),))


def _shares(affinities: Affinities, groups: NDArray[np.int32], count: int) -> Floats:
    """The share [queries, items] of each item's group in each query's interest."""
    present, column = np.unique(affinities.group, return_inverse=True)
    table = np.zeros((affinities.queries, len(present) + 1))
    table[affinities.query, column] = affinities.share
    # The last column is for what nobody asked of, which NONE (-1) finds too.
    columns = np.full(count + 1, len(present), np.int64)
    columns[present] = np.arange(len(present))
    shares: Floats = table.take(columns.take(groups), axis=1)
    return shares


_NONE: Final = np.zeros(0, np.int64)
_NO_SCORES: Final = np.zeros(0)
