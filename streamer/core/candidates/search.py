"""What the shopper searches for: what other searchers of the query chose, and what is called by its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals
from streamer.core.exactmath import exp2, log2
from streamer.core.items.leads import query_node
from streamer.core.titles import WIDTH, word_key
from streamer.core.words import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

_SMOOTHING: Final = 2.0
"""A query counts as if it had led so often to nothing that is known."""
_MOST_AHEAD: Final = 64.0
_K1: Final = 1.2
_B: Final = 0.5
_NOTHING: Final = (np.zeros(0, np.int64), np.zeros(0))


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """What was chosen, then what is called so, each the best first; nothing for shoppers who do not search.

    Score: the share of the choices after the query that fell on the item. Second column: BM25 of the query's words in
    those of title, brand and category (Robertson, Zaragoza, "The probabilistic relevance framework: BM25 and beyond",
    FnTIR 3, 2009), over what an item with all of them would have. Both by how new the search is.
    """
    searches = asked.searches
    if not searches.texts:
        return Proposals(searches.query, searches.query, (searches.claim, searches.claim))
    chosen = _chosen(asked, index, settings)
    by_text = {text: _called(text, index, settings) for text in dict.fromkeys(searches.texts)}
    called = [by_text[text] for text in searches.texts]
    sizes = np.array([len(items) for items, _ in called])
    claim = searches.claim.repeat(sizes)
    query = np.concatenate((chosen[0], searches.query.repeat(sizes)))
    item = np.concatenate((chosen[1], *(items for items, _ in called)))
    words = np.concatenate((np.zeros(len(chosen[0])), np.concatenate([scores for _, scores in called]) * claim))
    order = query.argsort(kind="stable")
    score = np.concatenate((chosen[2], np.zeros(len(claim))))
    return Proposals(query.take(order), item.take(order), (score.take(order), words.take(order)))


def _chosen(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> tuple[Ints, Ints, Floats]:
    """Query, item and score of what searchers chose."""
    searches, items = asked.searches, settings.items
    node = index.dense_many([query_node(text, items.query_buckets) for text in searches.texts])
    faded = asked.now_ms.take(searches.query) / items.interest_half_life_ms
    unit = exp2(np.minimum(index.pair_level.take(node) - faded, _MOST_AHEAD))
    each = searches.claim * unit / (exp2(index.popularity.take(node) - faded) + _SMOOTHING)
    neighbours, amounts = index.neighbours(node, settings.search_items)
    flat = neighbours.ravel()
    kept = index.known.take(flat).nonzero()[0]
    row = kept // neighbours.shape[1]
    return searches.query.take(row), flat.take(kept).astype(np.int64), amounts.ravel().take(kept) * each.take(row)


def _called(text: str, index: ItemIndex, settings: RetrievalSettings) -> tuple[Ints, Floats]:
    """The items whose words are most like a text's, and how much, best first.

    Of each word only the most popular items that have it are looked at: a word that thousands have tells them apart by
    nothing else. All of them are scored by all words.
    """
    titles, known = index.titles, index.known
    held = {}
    for word in [word_key(word) for word in words_of(text, WIDTH)]:
        items = titles.holding(word)
        held[word] = items.take(known.take(items).nonzero()[0])
    found = {word: items for word, items in held.items() if len(items)}
    if not found:
        return _NOTHING
    item = np.unique(np.concatenate([_popular(items, index, settings.search_looked_at) for items in found.values()]))
    named, words = max(titles.named, 1), titles.words.take(item, axis=0)
    score, most = np.zeros(len(item)), 0.0
    for word, having in held.items():
        count = min(len(having), named)
        worth = log2((named - count + 0.5) / (count + 0.5) + 1.0)
        score += np.where((words == word).any(axis=1), worth, 0.0)
        most += worth
    length = titles.lengths[item] * (named / max(titles.total, 1))
    score *= (_K1 + 1.0) / (1.0 + _K1 * (1.0 - _B + _B * length)) / most
    order = np.lexsort((index.keys.take(item), -index.popularity.take(item), -score))[: settings.search_items]
    return item.take(order), score.take(order)


def _popular(items: Ints, index: ItemIndex, count: int) -> Ints:
    """The most popular ``count``, ties to the smaller key, in no order."""
    if len(items) <= count:
        return items
    popularity = index.popularity.take(items)
    least = np.partition(popularity, -count)[-count]
    above, ties = items.take((popularity > least).nonzero()[0]), items.take((popularity == least).nonzero()[0])
    return np.concatenate((above, ties.take(index.keys.take(ties).argsort()[: count - len(above)])))
