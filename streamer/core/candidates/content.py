"""What is like the shopper's newest items by what is said of it: of one category and brand, of one category and price.

Nobody need have touched the two together, so it finds what is new to everybody's sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.popular import popular
from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

_HALF: Final = 0.5
"""Either way of being alike gives half of the score."""


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Of each query's strongest groups the most popular items. Score: the group's share of the newest items, times 1
    for its first item, falling evenly to 0; half of the sum over both groupings.
    """
    parts = [
        popular(index, grouping, groups, settings.content_groups, settings.content_items)
        for grouping, groups in (("line", asked.lines), ("band", asked.bands))
    ]
    query, item, score = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = query.argsort(kind="stable")
    order = order.take(index.known.take(item.take(order)).nonzero()[0])
    return Proposals(query.take(order), item.take(order), (score.take(order) * _HALF,))
