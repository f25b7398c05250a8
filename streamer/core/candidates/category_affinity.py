"""The most popular items of the categories the shopper browses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Of each query's strongest categories the most popular items. Score: the category's share of the shopper's
    interest, times 1 for its first item, falling evenly to 0.
    """
    categories = asked.categories
    order = np.lexsort((index.categories.keys_of(categories.group), -categories.share, categories.query))
    query = categories.query[order]
    first = np.searchsorted(query, np.arange(asked.count))
    chosen = order[np.arange(len(order)) - first[query] < settings.category_count]
    groups = categories.group[chosen].tolist()
    tops = {group: index.top_of("category", group)[: settings.category_items] for group in set(groups)}
    lists = [tops[group] for group in groups]
    sizes = [len(top) for top in lists]
    if not sum(sizes):
        return Proposals(np.zeros(0, np.int64), np.zeros(0, np.int64), (np.zeros(0),))
    item = np.concatenate(lists)
    start = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    fall = 1.0 - (np.arange(len(item)) - start) / settings.category_items
    return Proposals(
        np.repeat(categories.query[chosen], sizes), item, (np.repeat(categories.share[chosen], sizes) * fall,)
    )
