"""What goes with the shopper's items: bought together with them more often than chance would have it.

By lift, the measure of association rules (Brin, Motwani, Ullman, Tsur, "Dynamic itemset counting and implication rules
for market basket data", SIGMOD 1997): what everybody buys with everything is no complement of anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.best import ONE, best, summed
from streamer.core.candidates.proposals import Proposals
from streamer.core.exactmath import exp2
from streamer.core.items.leads import BASKETS
from streamer.core.names import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

_FALL_OFF: Final = 0.8
"""How much less an item counts than those of the moment after its own."""
_LOOKED_AT: Final = 0.5
"""How much what was only looked at counts, to what was put in the cart or bought."""
_SMOOTHING: Final = 2.0
"""An item counts as if it had been in so many baskets more, without the other one."""
_MOST_AHEAD: Final = 64.0
_OF_LIFT: Final = 16.0
_BY_STEP: Final = np.array([_FALL_OFF**n for n in range(256)])


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """The best by lift: how much greater the share of the baskets with an item is, that had the other too, than of all.

    Score: the lift over each of the newest items, the newer the more it counts, summed; or over each of those that the
    query is about. All amounts fade alike, so that they compare. Second column: the same of the share itself.
    """
    query, item, claim = _anchors(asked, settings)
    node = index.nodes.bought_with(item)
    kept = (node != NONE).nonzero()[0]
    if not len(kept):  # nobody ever bought or carted any of them
        return Proposals(_NONE, _NONE, (_NO_SCORES, _NO_SCORES))
    query, node, claim = query.take(kept), node.take(kept), claim.take(kept)
    faded = asked.now_ms.take(query) / settings.items.interest_half_life_ms
    baskets = exp2(index.popularity[index.dense(BASKETS)] - faded)
    unit = exp2(np.minimum(index.pair_level.take(node) - faded, _MOST_AHEAD))
    each = claim * unit / (exp2(index.popularity.take(node) - faded) + _SMOOTHING)

    neighbours, amounts = index.neighbours(node, settings.complement_neighbours)
    flat = neighbours.ravel()
    kept = index.known.take(flat).nonzero()[0]
    row = kept // neighbours.shape[1]
    item = flat.take(kept).astype(np.int64)
    query = query.take(row)
    share = amounts.ravel().take(kept) * each.take(row)
    of_other = index.popularity.take(index.nodes.bought_with(item)) - faded.take(row)
    lift = share * baskets.take(row) / (exp2(of_other) + _SMOOTHING)
    asked_of, thing, lifts = summed(query, item, _fixed(lift * _OF_LIFT), len(index))
    chosen = best(asked_of, lifts, index.keys.take(thing), settings.complement_items)
    _, _, shares = summed(query, item, _fixed(share * ONE), len(index))
    return Proposals(
        asked_of.take(chosen), thing.take(chosen), (lifts.take(chosen) / _OF_LIFT, shares.take(chosen) / ONE)
    )


def _anchors(asked: Asked, settings: RetrievalSettings) -> tuple[Ints, Ints, Floats]:
    """What something is to go with: queries, items and how much each counts."""
    recents, about = asked.recents, asked.about
    rows = (recents.place < settings.complement_recents).nonzero()[0]
    if len(about.asking):
        rows = rows.take(np.isin(recents.query.take(rows), about.asking, invert=True).nonzero()[0])
    claim = _BY_STEP.take(np.minimum(recents.step.take(rows), 255))
    claim = np.where((recents.carts + recents.purchases).take(rows) > 0.0, claim, claim * _LOOKED_AT)
    query, item = recents.query.take(rows), recents.item.take(rows)
    if not len(about.query):
        return query, item, claim
    ones = np.ones(len(about.query))
    return np.concatenate((query, about.query)), np.concatenate((item, about.item)), np.concatenate((claim, ones))


def _fixed(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.minimum(values, 2.0**20).astype(np.int64)


_NONE: Final = np.zeros(0, np.int64)
_NO_SCORES: Final = np.zeros(0)
