"""Neighbours of what the shopper looked at: items touched by others together with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals
from streamer.core.exactmath import exp2

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

_FALL_OFF: Final = 0.8
"""How much less an item counts than the one touched after it."""
_MOST_AHEAD: Final = 64.0
"""Half-lives. A row's era has begun when it is written: one that is further ahead of the query is damaged."""


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Neighbours of the newest recents, strongest first.

    Score: the faded amount of co-visitation with each recent, over the square root of the recent's popularity, as far
    as the recent still counts; summed. Second column: of all interest in the newest item, the share that went along
    with interest in the neighbour.
    """
    recents = asked.recents
    rows = (recents.place < settings.covisitation_recents).nonzero()[0]
    query, item, place = recents.query.take(rows), recents.item.take(rows), recents.place.take(rows)
    faded = asked.now_ms.take(query) / settings.items.interest_half_life_ms
    ahead = np.minimum(index.pair_level.take(item) - faded, _MOST_AHEAD)
    age = recents.age_ms.take(rows) / -settings.recent_half_life_ms
    popularity, unit, claim = exp2(np.concatenate((index.popularity.take(item) - faded, ahead, age))).reshape(3, -1)
    claim *= _FALL_OFF_BY_PLACE.take(place)
    each = claim * unit / np.sqrt(popularity + 1.0)
    newest = np.where(place == 0, unit / (popularity + 1.0), 0.0)
    neighbours, amounts = index.neighbours(item, settings.covisitation_neighbours)
    width = neighbours.shape[1]
    flat = neighbours.ravel()
    kept = index.known.take(flat).nonzero()[0]
    row = kept // width
    amount = amounts.ravel().take(kept)
    return Proposals(
        query.take(row), flat.take(kept).astype(np.int64), (amount * each.take(row), amount * newest.take(row))
    )


_FALL_OFF_BY_PLACE: Final = np.array([_FALL_OFF**n for n in range(64)])
