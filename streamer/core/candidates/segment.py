"""What shoppers of the same segment take: popularity by segment, for newcomers too, who have one by their context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals
from streamer.core.exactmath import exp2

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

_SMOOTHING: Final = 8.0
_MOST_AHEAD: Final = 64.0


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """The most taken first. Score: the share of what the segment's shoppers took that fell on the item, faded."""
    if not any(asked.segment):
        return _NOTHING
    node = index.dense_many(asked.segment)
    faded = asked.now_ms / settings.items.interest_half_life_ms
    unit = exp2(np.minimum(index.pair_level.take(node) - faded, _MOST_AHEAD))
    each = unit / (exp2(index.popularity.take(node) - faded) + _SMOOTHING)
    neighbours, amounts = index.neighbours(node, settings.segment_items)
    flat = neighbours.ravel()
    kept = index.known.take(flat).nonzero()[0]
    query = kept // neighbours.shape[1]
    return Proposals(query, flat.take(kept).astype(np.int64), (amounts.ravel().take(kept) * each.take(query),))


_NO_ROWS: Final = np.zeros(0, np.int64)
_NOTHING: Final = Proposals(_NO_ROWS, _NO_ROWS, (np.zeros(0),))
