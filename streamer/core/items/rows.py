"""What topic ``item-index`` carries: of each item, what retrieval and features need to know."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from streamer.core.items.state import Count, Words, strongest

if TYPE_CHECKING:
    from streamer.core.items.state import ItemState
    from streamer.core.retrieval_settings import ItemSettings

INDEX_ROW_VERSION: Final = 1

Level = Annotated[float, msgspec.Meta(le=2.0**53)]


class IndexRow(msgspec.Struct, array_like=True, gc=False):
    """The published row of an item.

    ``trend``, ``popularity`` and ``pair_level`` are levels (``decay.level``), the last of one unit of ``amounts``.
    ``neighbours``: keys as little-endian uint64. ``amounts``: as little-endian float32, in the same order.
    """

    version: int
    item: str
    views: Count
    carts: Count
    purchases: Count
    first_s: Count
    words: Words
    price_cents: Count
    trend: Level
    popularity: Level
    pair_level: Level
    neighbours: bytes
    amounts: bytes


_ENCODE: Final = msgspec.msgpack.Encoder().encode


def index_row(state: ItemState, settings: ItemSettings) -> bytes:
    """The row that topic ``item-index`` carries for an item."""
    amounts = strongest(state.neighbours(), settings.neighbours_published)
    return _ENCODE(
        IndexRow(
            INDEX_ROW_VERSION,
            state.item,
            state.views,
            state.carts,
            state.purchases,
            state.first_ms // 1000,
            state.words,
            state.price_cents,
            *state.levels(),
            state.pair_level,
            pack(f"<{len(amounts)}Q", *amounts),
            pack(f"<{len(amounts)}f", *amounts.values()),
        )
    )
