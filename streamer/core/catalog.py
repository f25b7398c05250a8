"""A row of the catalog: what a shop says of an item, read leniently."""

from __future__ import annotations

from typing import Final

import msgspec
import orjson

from streamer.core.parse import Limits
from streamer.core.retrieval_settings import MOST_NUMBERS

_MAX_CENTS: Final = 2**40
_LIMITS: Final = Limits()
_LARGEST: Final = 1e9
_MORE_CHARS: Final = 512


class CatalogEntry(msgspec.Struct, frozen=True, gc=False):
    """An item as its shop describes it. ``price_cents`` 0 and ``stock`` None mean that nothing is said.

    ``more``: what else can be read of it, tags, further categories and the description, for words alone. ``vector``:
    the numbers that the shop's own model has for it, empty for none.
    """

    title: str
    category: str
    brand: str
    price_cents: int
    stock: float | None
    more: str = ""
    vector: tuple[float, ...] = ()

    @property
    def in_stock(self) -> bool:
        """Whether it can be had, as far as the shop says."""
        return self.stock is None or self.stock > 0


class _Row(msgspec.Struct):
    title: str | None = None
    name: str | None = None
    category: str | None = None
    description: str | None = None
    categories: list[str] | None = None
    tags: list[str] | None = None
    brand: str | None = None
    price: float | None = None
    stock: float | bool | None = None
    vector: tuple[float, ...] | None = None


_DECODE: Final = msgspec.json.Decoder(_Row, strict=True).decode


def is_item_id(text: str) -> bool:
    """Whether an item's id is within the limits of the contract: candidates carry it, and it is never cut.

    One with U+FFFD in it is no id: that stands for bytes of a key that are not UTF-8, so others may have the same.
    """
    if not text or "\ufffd" in text:
        return False
    return len(text) <= _LIMITS.id_bytes // 6 or len(orjson.dumps(text)) - 2 <= _LIMITS.id_bytes


def read_entry(value: bytes) -> CatalogEntry | None:
    """The entry in a row of JSON, ``None`` if it is malformed.

    An object with any of ``title`` (or ``name``), ``category`` or ``categories`` (the first is the item's, the others
    are words), ``tags``, ``description``, ``brand``, ``price``, ``stock`` (a number, or whether there is any) and
    ``vector`` (at most ``MOST_NUMBERS``, from -1e9 to 1e9); other fields are left alone. Texts are cut as those of
    events are, tags, further categories and description together at 512 characters.
    """
    try:
        row = _DECODE(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    vector = row.vector or ()
    # Not a number compares with nothing, so it is refused with what is too large.
    if len(vector) > MOST_NUMBERS or not all(-_LARGEST <= number <= _LARGEST for number in vector):
        return None
    cents = (row.price or 0.0) * 100
    cut = _LIMITS.text_chars
    return CatalogEntry(
        title=(row.title or row.name or "")[:cut],
        category=(row.category or (row.categories[0] if row.categories else ""))[:cut],
        brand=(row.brand or "")[:cut],
        price_cents=round(cents) if 0.5 < cents < _MAX_CENTS else 0,
        stock=None if row.stock is None else float(row.stock),
        more=_more(row),
        vector=vector,
    )


def _more(row: _Row) -> str:
    """The words of a row that are neither title, nor brand, nor the item's own category."""
    if not (row.tags or row.description or row.categories):
        return ""
    others = (row.categories or ())[not row.category :]
    return " ".join((*(row.tags or ()), *others, row.description or ""))[:_MORE_CHARS].strip()
