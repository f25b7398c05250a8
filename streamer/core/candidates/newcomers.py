"""What other newcomers took, at this hour of the day and at any: for shoppers of whom little else is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals
from streamer.core.exactmath import exp2
from streamer.core.items.leads import HOUR_MS, NEWCOMERS, NEWCOMERS_BY_HOUR

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

_SMOOTHING: Final = 8.0
_MOST_AHEAD: Final = 64.0
_HALF: Final = 0.5


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """For shoppers who are new themselves, the most taken first.

    Score: the share of what newcomers took that fell on the item, half of it of this hour's and half of all hours'.
    """
    new = (asked.events < settings.items.newcomer_events).nonzero()[0]
    query = new.repeat(2)
    node = np.full((len(new), 2), index.dense(NEWCOMERS), np.int64)
    by_hour = index.dense_many(NEWCOMERS_BY_HOUR)
    node[:, 0] = by_hour.take(asked.now_ms.take(new) // HOUR_MS % 24)
    flat_node = node.ravel()
    faded = asked.now_ms.take(query) / settings.items.interest_half_life_ms
    unit = exp2(np.minimum(index.pair_level.take(flat_node) - faded, _MOST_AHEAD))
    each = _HALF * unit / (exp2(index.popularity.take(flat_node) - faded) + _SMOOTHING)
    neighbours, amounts = index.neighbours(flat_node, settings.newcomer_items)
    flat = neighbours.ravel()
    kept = index.known.take(flat).nonzero()[0]
    row = kept // neighbours.shape[1]
    return Proposals(query.take(row), flat.take(kept).astype(np.int64), (amounts.ravel().take(kept) * each.take(row),))
