"""Items whose learned vectors fit the shopper best: matrix factorization as a generator.

It searches all items, so it finds what nobody touched together with the shopper's, but others of their kind did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.candidates.alike import NOTHING
from streamer.core.candidates.best import best
from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Each query's items with the greatest products, without those that the shopper touched. Score: the product, of
    the shopper's vector over its largest number.
    """
    if not settings.vector_items:
        return NOTHING
    own, scan = (asked.recents.query, asked.recents.item), index.vectors.scan
    query, item, amount = scan.greatest(asked.factors, own, settings.vector_items)
    known = index.known.take(item).nonzero()[0]
    query, item, amount = query.take(known), item.take(known), amount.take(known)
    chosen = best(query, amount, index.keys.take(item), settings.vector_items)
    return Proposals(query.take(chosen), item.take(chosen), (amount.take(chosen) / scan.one,))
