"""What rises: wanted more of late than its popularity implies, in the categories the shopper browses and everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals
from streamer.core.exactmath import exp2

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

_MOST: Final = 64.0
_HALF: Final = 0.5


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Of what is trending, in a category or anywhere, what rises most.

    Score: how far the interest of late is above the share of all interest that falls into so short a time, in
    standard deviations of a count, the simplest way to tell a burst (Kleinberg, "Bursty and hierarchical structure in
    streams", KDD 2002, has better ones for those who keep a history); times the category's share of the shopper's
    interest, and half of it for any shopper.
    """
    categories = asked.categories
    chosen = (categories.place < settings.category_count).nonzero()[0]
    groups = categories.group.take(chosen).tolist()
    lists = {group: index.shelves.trending(group) for group in dict.fromkeys(groups)}
    everywhere = index.tops.trending()
    parts = [*(lists[group] for group in groups), *([everywhere] * asked.count)]
    sizes = np.array([len(part) for part in parts], np.int64)
    if not sizes.sum():
        return Proposals(_NONE, _NONE, (_NO_SCORES,))
    query = np.concatenate((categories.query.take(chosen), np.arange(asked.count)))
    share = np.concatenate((categories.share.take(chosen), np.full(asked.count, _HALF)))
    part = np.arange(len(sizes)).repeat(sizes)
    item = np.concatenate(parts)
    rise = _rise(item, asked.now_ms.take(query.take(part)), index, settings)
    # Of each list the highest risen, ties to the smaller key.
    order = np.lexsort((index.keys.take(item), -rise, part))
    first = np.cumsum(sizes) - sizes
    place = np.arange(len(order)) - first.take(part.take(order))
    limit = np.where(np.arange(len(sizes)) < len(groups), settings.rising_in_category, settings.rising_items)
    order = order[(place < limit.take(part.take(order))) & (rise.take(order) > 0.0)]
    by_query = order.take(np.argsort(query.take(part.take(order)), kind="stable"))
    part = part.take(by_query)
    return Proposals(query.take(part), item.take(by_query), (rise.take(by_query) * share.take(part),))


def _rise(item: Ints, now_ms: Ints, index: ItemIndex, settings: RetrievalSettings) -> Floats:
    items = settings.items
    trend = exp2(np.minimum(index.trend.take(item) - now_ms / items.trend_half_life_ms, _MOST))
    popularity = exp2(np.minimum(index.popularity.take(item) - now_ms / items.interest_half_life_ms, _MOST))
    expected = popularity * (items.trend_half_life_ms / items.interest_half_life_ms)
    return (trend - expected) / np.sqrt(expected + 1.0)


_NONE: Final = np.zeros(0, np.int64)
_NO_SCORES: Final = np.zeros(0)
