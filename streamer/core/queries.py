"""What is asked of retrieval: each query is a shopper's state as of one event, copied, since the profile changes on.

Copies are cheap (tuples as they are); they become arrays once for the whole batch, in ``Queries.asked``.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    all. ``last_category``, ``last_brand``: ids of the newest item's, or ``NONE``.
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
        kept = np.flatnonzero(index.known[item] & (item != NONE))
        query, item, place = query[kept], item[kept], place[kept]
        numbers = np.array([columns[at] for at in (_LAST_S, _WEIGHT, _VIEWS, _CARTS, _PURCHASES)], np.float64)[:, kept]
        age_ms = np.maximum(now[query] - numbers[0] * 1000.0, 0.0)
        recents = Recents(query, item, place, age_ms, numbers[1] / _WEIGHT_ONE, *numbers[2:])
        newest = np.flatnonzero(place == 0)
        last_category = np.full(len(now), NONE, np.int64)
        last_brand = np.full(len(now), NONE, np.int64)
        last_category[query[newest]] = index.category[item[newest]]
        last_brand[query[newest]] = index.brand[item[newest]]
        scalars = np.array(self._scalars, np.float64).reshape(len(now), 3)
        # What the shopper's own events did not tell of an item, the index may know.
        untold = [np.array([not row for row in columns[at]], np.bool_)[kept] for at in (_CATEGORY, _BRAND)]
        return Asked(
            len(now),
            now,
            recents,
            self._categories.shares(index.categories, len(now), recents, np.flatnonzero(untold[0]), index.category),
            self._brands.shares(index.brands, len(now), recents, np.flatnonzero(untold[1]), index.brand),
            scalars[:, 0],
            scalars[:, 1],
            scalars[:, 2],
            last_category,
            last_brand,
        )


class _Told:
    """What profiles tell of interest in groups: rows of (query, key of the group, amount), an amount only compares
    within its query.
    """

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
            # Once the groups of some items are told, the others' count for little: in a shop, all are told or none.
            query = np.concatenate((query, recents.query[untold]))
            group = np.concatenate((group, group_of[recents.item[untold]]))
            amount = np.concatenate((amount, recents.weight[untold] * _WEIGHT_ONE))
        kept = np.flatnonzero((group != NONE) & (amount > 0.0))
        query, group, amount = query[kept], group[kept], amount[kept]
        # In the order of the groups' keys, since ids are the replica's own and sums depend on their order.
        order = np.lexsort((names.keys_of(group), query))
        query, group, amount = query[order], group[order], amount[order]
        new = np.ones(len(query), np.bool_)
        new[1:] = (group[1:] != group[:-1]) | (query[1:] != query[:-1])
        # bincount adds in the order of the rows, so a sum does not depend on what other queries there are.
        summed = np.bincount(np.cumsum(new) - 1, weights=amount)
        query, group = query[new], group[new]
        total = np.bincount(query, weights=summed, minlength=queries)
        return Affinities(queries, query, group, summed / total[query])


_NAN: Final = float("nan")
