"""The list that a campaign draws on: of what was ranked for the shopper, what the campaign is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.registry import GENERATORS
from streamer.core.names import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.campaigns.campaign import Listing
    from streamer.core.index import ItemIndex
    from streamer.core.rank import Ranked

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

_COLUMNS: Final = {generator.name: generator.columns for generator in GENERATORS}


def listed(
    ranked: Ranked, query: int, listing: Listing, *, keys: Sequence[int], index: ItemIndex, count: int, by: Floats
) -> list[int]:
    """The rows of the best ``count`` of the list, best first, ties to the smaller item key.

    ``keys``: the items of the campaign's own trigger. ``by`` [n]: what is the better the greater it is, of each row.
    """
    rows = ranked.rows(query)
    kept = np.arange(rows.start, rows.stop)
    if not listing.everything:
        kept = kept[_kept(ranked, query, listing, keys, index)]
    best: list[int] = kept.take(np.lexsort((ranked.keys.take(kept), -by.take(kept)))[:count]).tolist()
    return best


def _kept(ranked: Ranked, query: int, listing: Listing, keys: Sequence[int], index: ItemIndex) -> Bools:
    pool, rows = ranked.pool, ranked.rows(query)
    kept = np.ones(rows.stop - rows.start, np.bool_)
    if listing.source == "discover":
        kept &= (pool.own[rows] < 0) & (pool.bought[rows] < 0)
    elif listing.source == "complements":
        kept &= (pool.own[rows] < 0) & (pool.bought[rows] < 0) & (pool.scores["complements"][rows] > 0.0)
    elif listing.source == "trigger":
        kept &= np.isin(ranked.keys[rows], np.array(keys, np.uint64))
    if listing.generators:
        columns = [column for name in listing.generators for column in _COLUMNS[name]]
        kept &= np.logical_or.reduce([pool.scores[column][rows] > 0.0 for column in columns])
    category = index.category.take(ranked.items[rows])
    if listing.categories:
        kept &= np.isin(category, [index.categories.by_name.get(name, NONE) for name in listing.categories])
        kept &= category != NONE
    if listing.liked:
        liked = ranked.asked.categories
        at = ((liked.query == query) & (liked.place < listing.liked)).nonzero()[0]
        kept &= np.isin(category, liked.group.take(at)) & (category != NONE)
    return kept
