"""New items whose catalog vectors are close to those of the shopper's newest ones: what looks like them, say."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from streamer.core.candidates.alike import NOTHING, nearest

if TYPE_CHECKING:
    from streamer.core.candidates.proposals import Proposals
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Of little seen items the most alike by vectors. Score: the cosine with the newest items together."""
    if asked.directions is None:
        return NOTHING
    among = partial(index.embeddings.among, asked.directions)
    return nearest(among, asked.recents, index, settings.fresh_views, settings.embedding_items)
