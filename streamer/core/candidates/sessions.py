"""Nearest sessions: what was in sessions of others that are like the shopper's own.

V-SKNN (Ludewig, Jannach, "Evaluation of session-based recommendation algorithms", UMUAI 28, 2018) over the bounded
replica of recent sessions: the shopper's newest items, weighted by how new, choose the nearest sessions, and these
vote for their items.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.best import best, summed
from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

_FALL_OFF: Final = 0.8
"""How much less an item counts than those of the moment after its own."""
_ONE: Final = 256
_WEIGHT: Final = np.array([round(_ONE * _FALL_OFF**n) for n in range(256)], np.int64)


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """The items of the nearest sessions of others, the most voted for first.

    A session is as near as the sum of the weights of the shopper's items in it; its vote counts as much for each of its
    items. Score: the share of all votes that the item has. Second column: the votes, in sessions just like
    the shopper's newest item.
    """
    recents, sessions = asked.recents, index.sessions
    row, slot = asked.sightings.row, asked.sightings.slot
    weight = _WEIGHT.take(np.minimum(recents.step.take(row), 255))
    query, slot, near = summed(recents.query.take(row), slot, weight, sessions.slots)
    nearest = best(query, near, ~sessions.stamp.take(slot).view(np.uint64), settings.session_neighbours)
    query, near = query.take(nearest), near.take(nearest)

    row, at = sessions.within(slot.take(nearest))
    item = sessions.items.ravel().take(at).astype(np.int64)
    kept = index.known.take(item).nonzero()[0]
    row, item = row.take(kept), item.take(kept)
    total = np.bincount(query, weights=near, minlength=asked.count)
    query, item, votes = summed(query.take(row), item, near.take(row), len(index))
    chosen = best(query, votes, index.keys.take(item), settings.session_items)
    query, score = query.take(chosen), votes.take(chosen).astype(np.float64)
    return Proposals(query, item.take(chosen), (score / total.take(query), score / _ONE))
