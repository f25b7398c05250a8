"""What is asked of retrieval: each query is a shopper's state as of one event, copied, since the profile changes on.

Copies are cheap (tuples as they are); they become arrays once for the whole batch, in ``Queries.asked``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec.structs import astuple

from streamer.core.index import NONE
from streamer.core.profile import Affinity, Recent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.index import ItemIndex, Names
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_FIELDS: Final = Recent.__struct_fields__
_KEY, _LAST_S, _WEIGHT, _VIEWS, _CARTS, _PURCHASES, _CATEGORY, _BRAND = (
    _FIELDS.index(name) for name in ("key", "last_s", "weight", "views", "carts", "purchases", "category", "brand")
)
_WEIGHT_ONE: Final = 256.0
_SESSION_GAP_MS: Final = 30 * 60_000
_AFFINITY: Final = Affinity.__struct_fields__.index("key"), Affinity.__struct_fields__.index("weight")


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

    query: Ints
    group: Ints
    share: Floats


@dataclass(frozen=True, slots=True)
class Asked:
    """All queries of a batch as arrays; those without a shape given are [queries]."""

    count: int
    now_ms: Ints
    recents: Recents
    categories: Affinities
    brands: Affinities
    price_mean: Floats
    session_events: Floats
    events: Floats
    last_category: Ints
    last_brand: Ints


class Queries:
    """The queries of a micro-batch. ``len`` tells how many; they are numbered from 0."""

    __slots__ = ("_brands", "_categories", "_items", "_now", "_scalars", "settings")

    def __init__(self, settings: RetrievalSettings) -> None:
        self.settings = settings
        self._now: list[int] = []
        self._items: list[list[tuple[int, ...]]] = []
        self._categories: list[list[tuple[int, ...]]] = []
        self._brands: list[list[tuple[int, ...]]] = []
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
            self._items.append([])
            self._categories.append([])
            self._brands.append([])
            self._scalars.append((0.0, 0, 0))
            return number
        self._items.append(list(map(astuple, profile.items)))
        self._categories.append(list(map(astuple, profile.categories)))
        self._brands.append(list(map(astuple, profile.brands)))
        going_on = now_ms - profile.last_ms <= _SESSION_GAP_MS
        self._scalars.append(
            (
                profile.price_mean if profile.price_weight else 0.0,
                profile.session_events if going_on else 0,
                sum(profile.counts),
            )
        )
        return number

    def recent_keys(self, query: int) -> list[int]:
        """Keys of the items the shopper of a query touched, newest first."""
        return [row[_KEY] for row in reversed(self._items[query])]

    def now_ms(self, query: int) -> int:
        """As of when a query asks."""
        return self._now[query]

    def asked(self, index: ItemIndex) -> Asked:
        """The queries as arrays, in terms of an index."""
        now = np.array(self._now, np.int64)
        sizes = [len(items) for items in self._items]
        rows = [row for items in self._items for row in reversed(items)]
        query = np.repeat(np.arange(len(now)), sizes)
        columns = list(zip(*rows, strict=True)) if rows else [()] * len(_FIELDS)
        item = index.dense_many(columns[_KEY])
        starts = np.cumsum([0, *sizes[:-1]]) if sizes else np.zeros(0, np.int64)
        place = np.arange(len(rows)) - np.repeat(starts, sizes)
        kept = np.flatnonzero(index.known[item] & (item != NONE))
        query, item, place = query[kept], item[kept], place[kept]

        def column(at: int) -> Floats:
            return np.array(columns[at], np.float64)[kept]

        age_ms = np.maximum(now[query] - column(_LAST_S) * 1000.0, 0.0)
        recents = Recents(
            query,
            item,
            place,
            age_ms,
            column(_WEIGHT) / _WEIGHT_ONE,
            column(_VIEWS),
            column(_CARTS),
            column(_PURCHASES),
        )
        # What the shopper's own events did not tell of an item, the index may know.
        untold_category = np.array([row == 0 for row in columns[_CATEGORY]], np.bool_)[kept]
        untold_brand = np.array([row == 0 for row in columns[_BRAND]], np.bool_)[kept]
        newest = np.flatnonzero(place == 0)
        last_category = np.full(len(now), NONE, np.int64)
        last_brand = np.full(len(now), NONE, np.int64)
        last_category[query[newest]] = index.category[item[newest]]
        last_brand[query[newest]] = index.brand[item[newest]]
        scalars = np.array(self._scalars, np.float64).reshape(len(now), 3)
        return Asked(
            len(now),
            now,
            recents,
            _affinities(self._categories, index.categories, len(now), recents, untold_category, index.category),
            _affinities(self._brands, index.brands, len(now), recents, untold_brand, index.brand),
            scalars[:, 0],
            scalars[:, 1],
            scalars[:, 2],
            last_category,
            last_brand,
        )


def _affinities(  # noqa: PLR0917
    told: list[list[tuple[int, ...]]],
    names: Names,
    queries: int,
    recents: Recents,
    untold: NDArray[np.bool_],
    group_of: NDArray[np.int32],
) -> Affinities:
    """Shares of interest from the profiles' sums and, where events did not tell the group, from recent items'."""
    key, weight = _AFFINITY
    get = names.by_key.get
    flat = [(q, get(row[key], NONE), row[weight]) for q, rows in enumerate(told) for row in rows]
    query, group, interest = _columns(flat)
    if untold.any():
        at = np.flatnonzero(untold)
        query = np.concatenate((query, recents.query[at]))
        group = np.concatenate((group, group_of[recents.item[at]]))
        interest = np.concatenate((interest, recents.weight[at] * _WEIGHT_ONE))
    kept = np.flatnonzero((group != NONE) & (interest > 0.0))
    query, group, interest = query[kept], group[kept], interest[kept]
    # bincount adds in the order of the rows, so a sum does not depend on what other queries there are.
    width = len(names.names) + 1
    codes, inverse = np.unique(query * width + group, return_inverse=True)
    summed = np.bincount(inverse, weights=interest, minlength=len(codes))
    query = codes // width
    # Groups are summed in the order of their keys, since ids are the replica's own.
    group = codes - query * width
    order = np.lexsort((names.keys_of(group), query))
    query, group, summed = query[order], group[order], summed[order]
    total = np.bincount(query, weights=summed, minlength=queries)
    return Affinities(query, group, summed / total[query])


def _columns(rows: Iterable[tuple[int, int, int]]) -> tuple[Ints, Ints, Floats]:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return np.array(columns[0], np.int64), np.array(columns[1], np.int64), np.array(columns[2], np.float64)
