"""The item index: what every worker knows of all items, in arrays under dense ids.

A replica of the topics ``item-index`` and ``catalog``. Dense ids are given at first mention, as a row or as a
neighbour, so they differ between replicas and never show: whatever is ordered is ordered by item key in the end. Only
an item with a row or in the catalog is *known* and may be proposed. What the catalog says of an item goes before what
events said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from streamer.core.catalog import CatalogEntry, is_item_id, read_entry
from streamer.core.changes import Changes
from streamer.core.content.embeddings import EmbeddingIndex
from streamer.core.content.texts import Said, TextIndex
from streamer.core.decay import NOTHING
from streamer.core.events import item_key
from streamer.core.exactmath import log2
from streamer.core.items.rows import IndexRow, read_index_row
from streamer.core.names import NONE, Names
from streamer.core.neighbours import NEIGHBOURS, Neighbours
from streamer.core.nodes import Nodes
from streamer.core.retrieval_settings import ContentSettings, SessionSettings
from streamer.core.sessions.index import SessionIndex
from streamer.core.shelves import Shelves
from streamer.core.titles import TitleIndex
from streamer.core.tops import Tops
from streamer.core.vectors.index import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.decay import Sum
    from streamer.core.items.state import ItemState

    Dense = NDArray[np.int64]

_DAY_S: Final = 86_400.0
_INFINITY: Final = float("inf")
# A rate is counted as if so many views with an average outcome had been seen before.
_SMOOTHING: Final = 20.0
_CART_RATE: Final = 0.05
_PURCHASE_RATE: Final = 0.02


class _Told:
    """What events say of an item, and the sums last taken over from a state in this process."""

    __slots__ = ("brand", "category", "popularity", "price_cents", "title", "trend")

    def __init__(self, category: int, brand: int, title: str, price_cents: int) -> None:
        self.category = category
        self.brand = brand
        self.title = title
        self.price_cents = price_cents
        self.trend: Sum | None = None
        self.popularity: Sum | None = None


class ItemIndex:
    """All items. Arrays have ``capacity`` entries, doubled when full, of which ``len(index)`` count; the last is empty.

    ``trend``, ``popularity``: levels (``decay.level``), -inf for none. ``views``: lines counted. ``cart_rate``,
    ``purchase_rate``: carts and purchases a view, smoothed. ``price``: log2 of cents, NaN if unknown. ``category``,
    ``brand``: ids in ``categories`` and ``brands``, or ``NONE``. ``line``, ``band``: ids in ``lines`` and ``bands``,
    which are categories cut by brand and by price, or ``NONE``. ``first_day``: first seen, days since the epoch, inf
    if never. ``known``, ``in_stock``: masks. ``pair_level``: the level of one unit of the amounts of ``neighbours``.
    ``version`` counts applied rows. ``sessions`` are those of other shoppers, in terms of the same dense ids; ``nodes``
    are what else leads to items, ``titles`` finds items by words, ``tops`` the best of all and of each group,
    ``shelves`` new and rising ones; ``texts`` and ``embeddings`` tell how alike items are. ``changes`` are those of the
    catalog that campaigns wait for. ``problem``: why the catalog's last refused entry was refused.
    """

    def __init__(
        self,
        capacity: int = 1024,
        sessions: SessionSettings | None = None,
        content: ContentSettings | None = None,
        *,
        keep_changes: bool = False,
    ) -> None:
        content = content or ContentSettings()
        self.texts = TextIndex(content.text_words)
        self.embeddings = EmbeddingIndex(content)
        self.problem = ""
        self.changes = Changes(kept=keep_changes)
        self.sessions = SessionIndex(sessions or SessionSettings(), self.mention_many)
        self.nodes = Nodes(self)
        self.vectors = VectorIndex(self.mention_many)
        self.titles = TitleIndex()
        self.tops = Tops(self)
        self.shelves = Shelves(self)
        self.categories = Names()
        self.brands = Names()
        self.lines = Names()
        self.bands = Names()
        self.version = 0
        self._dense: dict[int, int] = {}
        self._ids: list[str] = []
        self._titles: list[str] = []
        self._seen: dict[int, _Told] = {}
        self._catalog: dict[int, CatalogEntry] = {}
        self._near = Neighbours(self._mention, capacity)
        self.keys = np.zeros(capacity, np.uint64)
        self.trend = np.full(capacity, NOTHING)
        self.popularity = np.full(capacity, NOTHING)
        self.views = np.zeros(capacity, np.float32)
        self.cart_rate = np.full(capacity, _CART_RATE, np.float32)
        self.purchase_rate = np.full(capacity, _PURCHASE_RATE, np.float32)
        self.price = np.full(capacity, np.nan, np.float32)
        self.category = np.full(capacity, NONE, np.int32)
        self.brand = np.full(capacity, NONE, np.int32)
        self.line = np.full(capacity, NONE, np.int32)
        self.band = np.full(capacity, NONE, np.int32)
        self.first_day = np.full(capacity, np.inf)
        self.known = np.zeros(capacity, np.bool_)
        self.in_stock = np.ones(capacity, np.bool_)
        self.pair_level = np.zeros(capacity)

    def __len__(self) -> int:
        """How many items were ever mentioned; their dense ids are ``range(len(index))``."""
        return len(self._ids)

    @property
    def capacity(self) -> int:
        """The length of the arrays."""
        return len(self.keys)

    # --- who is who

    def dense(self, key: int) -> int:
        """The dense id of an item key, ``NONE`` if it was never mentioned."""
        return self._dense.get(key, NONE)

    def dense_many(self, keys: Sequence[int]) -> Dense:
        """``dense`` of each."""
        get = self._dense.get
        return np.array([get(key, NONE) for key in keys], np.int64)

    def mention_many(self, keys: Sequence[int]) -> Dense:
        """The dense ids of item keys, new ones to those that were never mentioned."""
        get, mention = self._dense.get, self._mention
        found = [get(key) for key in keys]
        if None in found:
            found = [mention(key) if dense is None else dense for key, dense in zip(keys, found, strict=True)]
        return np.array(found, np.int64)

    def id_of(self, dense: int) -> str:
        """An item's id, empty while only neighbours have mentioned it."""
        return self._ids[dense]

    def title(self, dense: int) -> str:
        """An item's title, empty if none was told."""
        return self._titles[dense]

    def category_name(self, key: int) -> str:
        """The name behind a category's key, empty if unknown."""
        return self.categories.name(key)

    def brand_name(self, key: int) -> str:
        """The name behind a brand's key, empty if unknown."""
        return self.brands.name(key)

    def entry(self, dense: int) -> CatalogEntry | None:
        """What the catalog says of an item."""
        return self._catalog.get(dense)

    def _mention(self, key: int) -> int:
        dense = self._dense.get(key)
        if dense is None:
            dense = self._dense[key] = len(self._ids)
            self._ids.append("")
            self._titles.append("")
            # The last entry is kept empty: it is what NONE, which is -1, reads.
            if dense >= len(self.keys) - 1:
                self._grow()
            self.keys[dense] = key
        return dense

    def _grow(self) -> None:
        for name, empty in _EMPTY.items():
            old = getattr(self, name)
            new = np.full((2 * len(old), *old.shape[1:]), empty, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self._near.grow(self.capacity)

    # --- the two topics

    def apply_row(self, key: int, row: bytes | None) -> None:
        """Take over a row of topic ``item-index``; ``None`` forgets what events told of the item.

        Raises ``msgspec.DecodeError`` if the bytes are no row, ``ValueError`` if they are of an unknown version,
        do not fit together or are another item's; the index is then as it was.
        """
        if row is None:
            self._forget(key)
            return
        new = read_index_row(row)
        known = self._ids[self._dense[key]] if key in self._dense else ""
        # An item's id goes into candidates as it is; hashing tells a damaged one, and it is done for new items only.
        if not 0 <= key < 1 << 64 or (new.item and new.item != known and item_key(new.item) != key):
            raise ValueError("the row is not of the item of its key")
        dense = self._mention(key)
        self._near.put(dense, (new.neighbours, new.amounts))
        self._apply(dense, new, new.first_s, new.trend, new.popularity)

    def apply_state(self, state: ItemState) -> None:
        """As ``apply_row`` of the row of a state in this very process; a change of the state is to be told again."""
        dense = self._mention(state.key)
        self._near.put(dense, state)
        told = self._seen.get(dense)
        if told is None or told.trend is not state.trend or told.popularity is not state.popularity:
            trend, popularity = state.levels()
            self._apply(dense, state, state.first_ms // 1000, trend, popularity)
            told = self._seen[dense]
            told.trend, told.popularity = state.trend, state.popularity
        else:
            # Events of its own replace the sums, so this is news of neighbours alone.
            self.version += 1
            self.pair_level[dense] = state.pair_level

    def _apply(self, dense: int, row: IndexRow | ItemState, first_s: int, trend: float, popularity: float) -> None:
        self.version += 1
        if row.item:
            self._ids[dense] = row.item
        words = row.words
        category, brand = self.categories.id(words[0]), self.brands.id(words[1])
        told = self._seen.get(dense)
        if told is None:
            self._seen[dense] = _Told(category, brand, words[2], row.price_cents)
            self._retell(dense)
        elif (
            told.category != category
            or told.brand != brand
            or told.price_cents != row.price_cents
            or told.title != words[2]
            or not self.known[dense]
        ):
            told.category, told.brand, told.title, told.price_cents = category, brand, words[2], row.price_cents
            self._retell(dense)
        self.first_day[dense] = first_s / _DAY_S if first_s else _INFINITY
        self.views[dense] = row.views
        views = row.views + _SMOOTHING
        self.cart_rate[dense] = min((row.carts + _SMOOTHING * _CART_RATE) / views, 1.0)
        self.purchase_rate[dense] = min((row.purchases + _SMOOTHING * _PURCHASE_RATE) / views, 1.0)
        self.pair_level[dense] = row.pair_level
        self._rank(dense, trend, popularity)

    def _rank(self, dense: int, trend: float, popularity: float) -> None:
        self.trend[dense] = trend
        self.popularity[dense] = popularity
        if not self._ids[dense]:
            return
        self.shelves.put(dense)
        self.tops.put(dense, trend, popularity)

    def _forget(self, key: int) -> None:
        dense = self._dense.get(key)
        if dense is None:
            return
        self.version += 1
        self._seen.pop(dense, None)
        self._near.put(dense, (b"", b""))
        self.views[dense] = 0
        self.cart_rate[dense], self.purchase_rate[dense] = _CART_RATE, _PURCHASE_RATE
        self.first_day[dense] = _INFINITY
        self._rank(dense, NOTHING, NOTHING)
        self._retell(dense)

    def apply_catalog(self, item_id: str, value: bytes | None) -> bool:
        """Take over a row of topic ``catalog`` (JSON; ``catalog.read_entry`` tells the fields); ``None`` removes it.

        False if the row is malformed or the id beyond the limit: the index is then as it was.
        """
        if value is None:
            dense = self._dense.get(item_key(item_id), NONE)
            if self._catalog.pop(dense, None) is not None:
                self.version += 1
                self.embeddings.tell(dense, ())
                self._retell(dense)
            return True
        entry = read_entry(value)
        if entry is None or not is_item_id(item_id):
            self.problem = "no entry of the form of catalog.schema.json, or a key that is no item id"
            return False
        if problem := self.embeddings.refuses(entry.vector):
            self.problem = problem
            return False
        key = item_key(item_id)
        dense = self._mention(key)
        self.version += 1
        self._ids[dense] = item_id
        self.embeddings.tell(dense, entry.vector)
        self._note(key, self._catalog.get(dense), entry)
        # The numbers are not kept beside what they were projected to.
        self._catalog[dense] = msgspec.structs.replace(entry, vector=()) if entry.vector else entry
        self._retell(dense)
        return True

    def _note(self, key: int, before: CatalogEntry | None, entry: CatalogEntry) -> None:
        """Note down whether an item can be had for less, or again; of one named for the first time nobody knows."""
        if before is None:
            return
        if 0 < entry.price_cents < before.price_cents:
            self.changes.note(key, "cheaper")
        if entry.in_stock and not before.in_stock:
            self.changes.note(key, "back")

    def _retell(self, dense: int) -> None:
        """Set an item's attributes from what its two sources say."""
        seen = self._seen.get(dense, _NOT_SEEN)
        entry = self._catalog.get(dense)
        category, brand, title, cents = seen.category, seen.brand, seen.title, seen.price_cents
        self.in_stock[dense] = True
        if entry is not None:
            category = self.categories.id(entry.category) if entry.category else category
            brand = self.brands.id(entry.brand) if entry.brand else brand
            title = entry.title or title
            cents = entry.price_cents or cents
            self.in_stock[dense] = entry.in_stock
        self.brand[dense] = brand
        self._titles[dense] = title
        self.price[dense] = log2(float(cents)) if cents else np.nan
        kind = self.categories.names[category] if category != NONE else ""
        name = self.brands.names[brand] if brand != NONE else ""
        more = "" if entry is None else entry.more
        self.titles.tell(dense, f"{title} {name} {kind} {more}".strip())
        line = self.lines.id(f"{kind}\n{self.brands.names[brand]}") if kind and brand != NONE else NONE
        # Half octaves: what costs up to 41 % more is of one band.
        cost = str(int(2.0 * float(self.price[dense]))) if cents else ""
        band = self.bands.id(f"{kind}\n{cost}") if kind and cost else NONE
        self.texts.tell(dense, Said(kind, name, cost, title, more))
        for grouping, group in (("category", category), ("line", line), ("band", band)):
            self.tops.regroup(grouping, dense, group)
        self.known[dense] = bool(self._ids[dense]) and (entry is not None or dense in self._seen)
        self.shelves.put(dense)

    # --- what retrieval asks

    def neighbours(self, items: Dense, count: int = NEIGHBOURS) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The strongest neighbours of each item: dense ids [n, count], ``NONE`` where there are fewer; their amounts.

        Strongest first, ties to the smaller key. An amount's worth at a time is
        ``amount * exp2(pair_level[item] - now / interest_half_life)``.
        """
        return self._near.of(items, count)


_NOT_SEEN: Final = _Told(NONE, NONE, "", 0)
_EMPTY: Final[dict[str, float]] = {
    "keys": 0,
    "trend": NOTHING,
    "popularity": NOTHING,
    "views": 0,
    "cart_rate": _CART_RATE,
    "purchase_rate": _PURCHASE_RATE,
    "price": float("nan"),
    "category": NONE,
    "brand": NONE,
    "line": NONE,
    "band": NONE,
    "first_day": _INFINITY,
    "known": False,
    "in_stock": True,
    "pair_level": 0,
}
