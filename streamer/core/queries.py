"""What is asked of retrieval: each query is a shopper's profile as of one event.

Profiles never change, so a query holds on to one; all of a batch become arrays at once, in ``Queries.asked``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.names import NONE
from streamer.core.packed import AFFINITY, RECENT

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.index import ItemIndex
    from streamer.core.names import Names
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_WEIGHT_ONE: Final = 256.0
NOT_TOLD: Final = -2
_SESSION_GAP_MS: Final = 30 * 60_000


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

    __slots__ = ("_now", "_profiles", "settings")

    def __init__(self, settings: RetrievalSettings) -> None:
        self.settings = settings
        self._now: list[int] = []
        self._profiles: list[Profile | None] = []

    def __len__(self) -> int:
        return len(self._now)

    def add(self, profile: Profile | None, now_ms: int, event: Event | None = None) -> int:  # noqa: ARG002
        """Ask what suits a shopper at a time, and return the query's number.

        ``event``, the one that made the query, is there for generators that react to more than what it left in the
        profile; none does so far.
        """
        self._now.append(now_ms)
        self._profiles.append(profile)
        return len(self._now) - 1

    def asked(self, index: ItemIndex) -> Asked:
        """The queries as arrays, in terms of an index."""
        count = len(self._now)
        now = np.array(self._now, np.int64)
        recents, untold_category, untold_brand = self._recents(now, index)
        newest = np.flatnonzero(recents.place == 0)
        last_category = np.full(count, NOT_TOLD, np.int64)
        last_brand = np.full(count, NOT_TOLD, np.int64)
        last_category[recents.query[newest]] = index.category[recents.item[newest]]
        last_brand[recents.query[newest]] = index.brand[recents.item[newest]]
        last_category[last_category == NONE] = NOT_TOLD
        last_brand[last_brand == NONE] = NOT_TOLD
        categories = [b"" if p is None else p.categories for p in self._profiles]
        brands = [b"" if p is None else p.brands for p in self._profiles]
        scalars = np.array([_scalars(p, at) for p, at in zip(self._profiles, self._now, strict=True)], np.float64)
        scalars = scalars.reshape(count, 3)
        return Asked(
            count,
            now,
            recents,
            _shares(categories, index.categories, recents, untold_category, index.category),
            _shares(brands, index.brands, recents, untold_brand, index.brand),
            scalars[:, 0],
            scalars[:, 1],
            scalars[:, 2],
            last_category,
            last_brand,
        )

    def _recents(self, now: Ints, index: ItemIndex) -> tuple[Recents, Ints, Ints]:
        """The known items; and which of them no event told the category of, and the brand."""
        packed = [b"" if p is None else p.items for p in self._profiles]
        sizes = np.array([len(items) for items in packed], np.int64) // RECENT.size
        query = np.repeat(np.arange(len(now)), sizes)
        ends = np.cumsum(sizes)
        # Packed newest last, asked newest first: the rows of each query are gone through backwards.
        place = np.arange(len(query)) - (ends - sizes)[query]
        rows = np.frombuffer(b"".join(packed), RECENT.dtype)[(ends - 1)[query] - place]
        item = index.dense_many(rows["key"].tolist())
        kept = np.flatnonzero(index.known[item])
        query, item, place, rows = query[kept], item[kept], place[kept], rows[kept]
        recents = Recents(
            query,
            item,
            place,
            np.maximum(now[query] - rows["last_s"] * 1000.0, 0.0),
            rows["weight"] / _WEIGHT_ONE,
            rows["views"].astype(np.float64),
            rows["carts"].astype(np.float64),
            rows["purchases"].astype(np.float64),
        )
        return recents, np.flatnonzero(rows["category"] == 0), np.flatnonzero(rows["brand"] == 0)


def _scalars(profile: Profile | None, now_ms: int) -> tuple[float, int, int]:
    """Usual price, events of a session that goes on, events."""
    if profile is None:
        return _NAN, 0, 0
    return (
        profile.price_mean if profile.price_weight else _NAN,
        profile.session_events if now_ms - profile.last_ms <= _SESSION_GAP_MS else 0,
        sum(profile.counts),
    )


def _shares(
    packed: list[bytes], names: Names, recents: Recents, untold: Ints, group_of: NDArray[np.int32]
) -> Affinities:
    """Interest in groups as shares of each query's sum.

    ``untold`` recents, of which events did not tell the group, add theirs to that which the index knows of.
    """
    queries = len(packed)
    told = np.frombuffer(b"".join(packed), AFFINITY.dtype)
    query = np.repeat(np.arange(queries), np.array([len(sums) for sums in packed], np.int64) // AFFINITY.size)
    group = names.ids(told["key"].tolist())
    amount = told["weight"].astype(np.float64)
    if len(untold):
        # An item's interest may fall to a group of its own or to one that was told.
        query = np.concatenate((query, recents.query[untold]))
        group = np.concatenate((group, group_of[recents.item[untold]]))
        amount = np.concatenate((amount, recents.weight[untold] * _WEIGHT_ONE))
    kept = np.flatnonzero((group != NONE) & (amount > 0.0))
    query, group, amount = query[kept], group[kept], amount[kept]
    if len(untold):
        query, group, amount = _summed(query, group, amount)
    # bincount adds in the order of the rows, which within a query is that of the profile: neither ids, which are the
    # replica's own, nor the other queries show.
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
