"""What topic ``item-index`` carries: of each item, what retrieval and features need to know."""

from __future__ import annotations

from functools import lru_cache
from struct import pack
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from streamer.core.events import item_key
from streamer.core.items.state import Count, Words, row_key, strongest
from streamer.core.rows import read

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
_DECODE: Final = msgspec.msgpack.Decoder(IndexRow).decode


def read_index_row(row: bytes) -> IndexRow:
    """What ``index_row`` made. Raises ``ValueError`` (``msgspec.DecodeError`` is one) if the bytes are no such row."""
    new = read(_DECODE, row, INDEX_ROW_VERSION, "an index row")
    if len(new.neighbours) % 8 or len(new.neighbours) != 2 * len(new.amounts):
        raise ValueError("neighbours and amounts do not match")
    return new


def tells_all(key: bytes | None, row: bytes | None) -> bool | None:
    """Whether a record of topic ``item-index`` is good, and what came before it of its key makes no difference.

    It does where the record is a tombstone or has no item id: then an id that was told before stands. ``None`` if the
    key is not as items' keys are written, so that another key may name the same item.
    """
    if row is not None:
        try:
            new = read_index_row(row)
        except ValueError:
            pass
        else:
            if new.item and _key_of(new.item) == key:
                return True
    try:
        return False if key == row_key(int(key or b"", 16)).encode() else None
    except ValueError:
        return None


@lru_cache(maxsize=1 << 15)
def _key_of(item: str) -> bytes:
    return row_key(item_key(item)).encode()


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
