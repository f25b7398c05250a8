"""What is asked of retrieval: each query is a shopper's state as of one event, copied, since the profile changes on.

Copies are cheap (tuples as they are); they become arrays once for the whole batch, in ``Queries.asked``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from struct import pack
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec.structs import astuple

from streamer.core.index import NONE
from streamer.core.profile import Recent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.index import ItemIndex, Names
    from streamer.core.profile import Affinity, Profile
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_WEIGHT_ONE: Final = 256.0
NOT_TOLD: Final = -2
_SESSION_GAP_MS: Final = 30 * 60_000
_FIELDS: Final = Recent.__struct_fields__
_KEY, _LAST_S, _WEIGHT, _VIEWS, _CARTS, _PURCHASES, _CATEGORY, _BRAND = (
    _FIELDS.index(name) for name in ("key", "last_s", "weight", "views", "carts", "purchases", "category", "brand")
)


@dataclass(frozen=True, slots=True)
class Recents:
    """The known items the shoppers touched: rows in query order, newest first. All arrays are [r].

    ``item`` dense; ``age_ms`` since last touched; ``weight`` in views; ``place`` 0 for the newest; counts of touches.
    """

    query: Ints
    item: Ints
    place: Ints
    age_ms: Floats
    weight: Floats
    views: Floats
    carts: Floats
    purchases: Floats


@dataclass(frozen=True, slots=True)
class Affinities:
    """Shares of the shoppers' interest: of ``group`` (an id of the index), [a], unique by (query, group)."""

    queries: int
    query: Ints
    group: Ints
    share: Floats


@dataclass(frozen=True, slots=True)
class Asked:
    """All queries of a batch as arrays [queries].

    ``usual_price``: log2 of cents, NaN if none is known. ``session_events``: of a session that goes on; ``events``: of
    all. ``last_category``, ``last_brand``: ids of the newest item's, or ``NOT_TOLD``, which no item has.
    """

    count: int
    now_ms: Ints
    recents: Recents
    categories: Affinities
    brands: Affinities
    usual_price: Floats
    session_events: Floats
    events: Floats
    last_category: Ints
    last_brand: Ints


class Queries:
    """The queries of a micro-batch. ``len`` tells how many; they are numbered from 0."""

    __slots__ = ("_brands", "_categories", "_items", "_now", "_scalars", "_sizes", "settings")

    def __init__(self, settings: RetrievalSettings) -> None:
        self.settings = settings
        self._now: list[int] = []
        self._items: list[tuple[int, ...]] = []
        self._sizes: list[int] = []
        self._categories = _Told()
        self._brands = _Told()
        self._scalars: list[tuple[float, int, int]] = []

    def __len__(self) -> int:
        return len(self._now)

    def add(self, profile: Profile | None, now_ms: int, event: Event | None = None) -> int:  # noqa: ARG002
        """Ask what suits a shopper at a time, and return the query's number.

        ``event``, the one that made the query, is there for generators that react to more than what it left in the
        profile; none does so far.
        """
        number = len(self._now)
        self._now.append(now_ms)
        if profile is None:
            self._sizes.append(0)
            self._scalars.append((_NAN, 0, 0))
            return number
        items = profile.items
        self._sizes.append(len(items))
        self._items += map(astuple, items[::-1])
        self._categories.add(number, profile.categories)
        self._brands.add(number, profile.brands)
        self._scalars.append(
            (
                profile.price_mean if profile.price_weight else _NAN,
                profile.session_events if now_ms - profile.last_ms <= _SESSION_GAP_MS else 0,
                sum(profile.counts),
            )
        )
        return number

    def asked(self, index: ItemIndex) -> Asked:
        """The queries as arrays, in terms of an index."""
        now = np.array(self._now, np.int64)
        query = np.repeat(np.arange(len(now)), self._sizes)
        columns = list(zip(*self._items, strict=True)) or [()] * len(_FIELDS)
        item = index.dense_many(columns[_KEY])
        place = np.arange(len(query)) - np.searchsorted(query, query)
        kept = np.flatnonzero(index.known[item])
        query, item, place = query[kept], item[kept], place[kept]
        # Several times faster than numpy's own conversion.
        flat = pack(f"={5 * len(self._items)}d", *chain.from_iterable(columns[_LAST_S : _PURCHASES + 1]))
        last_s, weight, views, carts, purchases = np.frombuffer(flat).reshape(5, len(self._items)).take(kept, axis=1)
        age_ms = np.maximum(now[query] - last_s * 1000.0, 0.0)
        recents = Recents(query, item, place, age_ms, weight / _WEIGHT_ONE, views, carts, purchases)
        newest = np.flatnonzero(place == 0)
        last_category = np.full(len(now), NOT_TOLD, np.int64)
        last_brand = np.full(len(now), NOT_TOLD, np.int64)
        last_category[query[newest]] = index.category[item[newest]]
        last_brand[query[newest]] = index.brand[item[newest]]
        last_category[last_category == NONE] = NOT_TOLD
        last_brand[last_brand == NONE] = NOT_TOLD
        scalars = np.array(self._scalars, np.float64).reshape(len(now), 3)
        # What the shopper's own events did not tell of an item, the index may know.
        untold = [np.flatnonzero(np.array(columns[at], np.uint64).take(kept) == 0) for at in (_CATEGORY, _BRAND)]
        return Asked(
            len(now),
            now,
            recents,
            self._categories.shares(index.categories, len(now), recents, untold[0], index.category),
            self._brands.shares(index.brands, len(now), recents, untold[1], index.brand),
            scalars[:, 0],
            scalars[:, 1],
            scalars[:, 2],
            last_category,
            last_brand,
        )


class _Told:
    """What profiles tell of interest in groups: rows of (query, key of the group, amount)."""

    __slots__ = ("amounts", "keys", "queries")

    def __init__(self) -> None:
        self.queries: list[int] = []
        self.keys: list[int] = []
        self.amounts: list[int] = []

    def add(self, query: int, sums: list[Affinity]) -> None:
        self.queries += [query] * len(sums)
        self.keys += [a.key for a in sums]
        self.amounts += [a.weight for a in sums]

    def shares(
        self, names: Names, queries: int, recents: Recents, untold: Ints, group_of: NDArray[np.int32]
    ) -> Affinities:
        """As shares of each query's sum. ``untold`` recents, of which events did not tell the group, add theirs."""
        query = np.array(self.queries, np.int64)
        group = names.ids(self.keys)
        amount = np.array(self.amounts, np.float64)
        if len(untold):
            # An item's interest may fall to a group of its own or to one that was told.
            query = np.concatenate((query, recents.query[untold]))
            group = np.concatenate((group, group_of[recents.item[untold]]))
            amount = np.concatenate((amount, recents.weight[untold] * _WEIGHT_ONE))
        kept = np.flatnonzero((group != NONE) & (amount > 0.0))
        query, group, amount = query[kept], group[kept], amount[kept]
        if len(untold):
            query, group, amount = _summed(query, group, amount)
        # bincount adds in the order of the rows, which within a query is that of the profile: neither ids, which are
        # the replica's own, nor the other queries show.
        total = np.bincount(query, weights=amount, minlength=queries)
        return Affinities(queries, query, group, amount / total[query])


def _summed(query: Ints, group: Ints, amount: Floats) -> tuple[Ints, Ints, Floats]:
    """The rows with those of the same query and group added up, at the place of the first."""
    order = np.lexsort((group, query))
    new = np.ones(len(order), np.bool_)
    new[1:] = (group[order][1:] != group[order][:-1]) | (query[order][1:] != query[order][:-1])
    summed = np.bincount(np.cumsum(new) - 1, weights=amount[order]).astype(np.float64, copy=False)
    first = order[new]
    by_first = np.lexsort((first, query[first]))
    first = first[by_first]
    return query[first], group[first], summed[by_first]


_NAN: Final = float("nan")
