"""The most popular items of the categories the shopper browses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.candidates.popular import popular
from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Of each query's strongest categories the most popular items. Score: the category's share of the shopper's
    interest, times 1 for its first item, falling evenly to 0.
    """
    query, item, score = popular(index, "category", asked.categories, settings.category_count, settings.category_items)
    return Proposals(query, item, (score,))
