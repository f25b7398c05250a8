"""New items whose words are those of the shopper's newest ones: TF-IDF over title, categories, tags, brand, price band.

It finds what nobody has touched yet also where categories are coarse or there are none.
"""

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
    """Of little seen items the most alike by words. Score: the cosine with the newest items together."""
    if asked.tastes is None:
        return NOTHING
    among = partial(index.texts.among, asked.tastes)
    return nearest(among, asked.recents, index, settings.fresh_views, settings.text_items)
