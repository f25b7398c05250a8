"""What everybody is after right now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """The items of the highest decayed trend, for every query. Score: 1 for the first, falling evenly to 0."""
    top = index.tops.trending()[: settings.trending_items]
    score = 1.0 - np.arange(len(top)) / max(len(top), 1)
    queries = asked.count
    return Proposals(
        np.arange(queries).repeat(len(top)),
        np.concatenate([_NO_ITEMS, *[top] * queries]),
        (np.concatenate([_NO_SCORES, *[score] * queries]),),
    )


_NO_ITEMS: Final = np.zeros(0, np.int64)
_NO_SCORES: Final = np.zeros(0)
