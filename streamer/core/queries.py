"""What is asked of retrieval: each query is a shopper's profile as of one event.

Profiles never change, so a query holds on to one; all of a batch become arrays at once, in ``Queries.asked``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.names import NONE
from streamer.core.packed import AFFINITY, BOUGHT, RECENT
from streamer.core.searches import searches_of
from streamer.core.sessions.rows import owner_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.index import ItemIndex
    from streamer.core.names import Names
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import RetrievalSettings
    from streamer.core.searches import Searches

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_WEIGHT_ONE: Final = 256.0
NOT_TOLD: Final = -2
_NEWEST: Final = 8
_BY_STEP: Final = np.array([0.75**n for n in range(_NEWEST + 1)])
_DAY_MS: Final = 86_400_000.0
_SESSION_GAP_MS: Final = 30 * 60_000


@dataclass(frozen=True, slots=True)
class Recents:
    """The known items the shoppers touched: rows in query order, newest first. All arrays are [r].

    ``item`` dense; ``age_ms`` since last touched; ``weight`` in views; ``place`` 0 for the newest; ``step``: how many
    moments of other items lie between, 0 for all that were touched last (an order's lines); counts of touches.
    """

    query: Ints
    item: Ints
    place: Ints
    step: Ints
    age_ms: Floats
    weight: Floats
    views: Floats
    carts: Floats
    purchases: Floats


@dataclass(frozen=True, slots=True)
class Purchases:
    """The known items the shoppers bought: rows in query order, newest first. All arrays are [b].

    ``item`` dense; ``age_ms`` since last bought, ``known_ms`` since first; ``orders``: at how many moments; ``step``:
    how many moments of other purchases came after, 0 for the last order's lines.
    """

    query: Ints
    item: Ints
    age_ms: Floats
    known_ms: Floats
    orders: Floats
    step: Ints


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

    ``lines`` and ``bands`` are shares of the newest items alone. ``usual_price``, ``last_price`` (of the newest item):
    log2 of cents, NaN if none is known. ``session_events``: of a session that goes on; ``events``: of all.
    ``mean_gap_ms``: between the shopper's visits, a day until there are two. ``owner``: the shoppers as
    ``SessionIndex`` names them, 0 for nobody. ``last_category``, ``last_brand``: ids of the newest item's, or
    ``NOT_TOLD``, which no item has.
    """

    count: int
    now_ms: Ints
    recents: Recents
    bought: Purchases
    categories: Affinities
    brands: Affinities
    lines: Affinities
    bands: Affinities
    usual_price: Floats
    session_events: Floats
    events: Floats
    mean_gap_ms: Floats
    last_category: Ints
    last_brand: Ints
    last_price: Floats
    owner: NDArray[np.uint64]
    searches: Searches


class Queries:
    """The queries of a micro-batch. ``len`` tells how many; they are numbered from 0."""

    __slots__ = ("_now", "_owners", "_profiles", "settings")

    def __init__(self, settings: RetrievalSettings) -> None:
        self.settings = settings
        self._now: list[int] = []
        self._profiles: list[Profile | None] = []
        self._owners: list[int] = []

    def __len__(self) -> int:
        return len(self._now)

    def add(
        self,
        profile: Profile | None,
        now_ms: int,
        event: Event | None = None,  # noqa: ARG002
        user: str = "",
    ) -> int:
        """Ask what suits a shopper at a time, and return the query's number.

        ``user`` is whose sessions are not those of others.

        ``event``, the one that made the query, is there for generators that react to more than what it left in the
        profile; none does so far.
        """
        self._now.append(now_ms)
        self._profiles.append(profile)
        self._owners.append(owner_key(user) if user else 0)
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
        last_price = np.full(count, np.nan)
        last_price[recents.query[newest]] = index.price[recents.item[newest]]
        last_category[last_category == NONE] = NOT_TOLD
        last_brand[last_brand == NONE] = NOT_TOLD
        categories = [b"" if p is None else p.categories for p in self._profiles]
        brands = [b"" if p is None else p.brands for p in self._profiles]
        scalars = np.array([_scalars(p, at) for p, at in zip(self._profiles, self._now, strict=True)], np.float64)
        scalars = scalars.reshape(count, 4)
        return Asked(
            count,
            now,
            recents,
            self._bought(now, index),
            _shares(categories, index.categories, recents, untold_category, index.category),
            _shares(brands, index.brands, recents, untold_brand, index.brand),
            _newest_shares(count, recents, index.line),
            _newest_shares(count, recents, index.band),
            scalars[:, 0],
            scalars[:, 1],
            scalars[:, 2],
            scalars[:, 3],
            last_category,
            last_brand,
            last_price,
            np.array(self._owners, np.uint64),
            searches_of(self._profiles, self._now),
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
            _steps(query, rows["last_s"]),
            np.maximum(now[query] - rows["last_s"] * 1000.0, 0.0),
            rows["weight"] / _WEIGHT_ONE,
            rows["views"].astype(np.float64),
            rows["carts"].astype(np.float64),
            rows["purchases"].astype(np.float64),
        )
        return recents, np.flatnonzero(rows["category"] == 0), np.flatnonzero(rows["brand"] == 0)

    def _bought(self, now: Ints, index: ItemIndex) -> Purchases:
        packed = [b"" if p is None else p.purchased for p in self._profiles]
        sizes = np.array([len(items) for items in packed], np.int64) // BOUGHT.size
        query = np.repeat(np.arange(len(now)), sizes)
        ends = np.cumsum(sizes)
        place = np.arange(len(query)) - (ends - sizes).take(query)
        rows = np.frombuffer(b"".join(packed), BOUGHT.dtype)[(ends - 1).take(query) - place]
        item = index.dense_many(rows["key"].tolist())
        kept = np.flatnonzero(index.known.take(item))
        query, item, rows = query.take(kept), item.take(kept), rows[kept]
        then = now.take(query)
        return Purchases(
            query,
            item,
            np.maximum(then - rows["time_s"] * 1000.0, 0.0),
            np.maximum(then - rows["first_s"] * 1000.0, 0.0),
            rows["orders"].astype(np.float64),
            _steps(query, rows["time_s"]),
        )


def _steps(query: Ints, last_s: NDArray[np.uint32]) -> Ints:
    """Of rows in query order, newest first: how many other moments came after."""
    if not len(query):
        return query
    begins = np.concatenate(([True], query[1:] != query[:-1]))
    moments = np.cumsum(np.concatenate(([True], last_s[1:] != last_s[:-1])) | begins)
    first = np.flatnonzero(begins)
    steps: Ints = moments - np.repeat(moments[first], np.diff(np.append(first, len(query))))
    return steps


def _scalars(profile: Profile | None, now_ms: int) -> tuple[float, int, int, float]:
    """Usual price, events of a session that goes on, events, mean gap between visits in ms."""
    if profile is None:
        return _NAN, 0, 0, _DAY_MS
    gaps = profile.sessions - 1
    return (
        profile.price_mean if profile.price_weight else _NAN,
        profile.session_events if now_ms - profile.last_ms <= _SESSION_GAP_MS else 0,
        sum(profile.counts),
        max((profile.session_start_ms - profile.first_ms) / gaps, 1.0) if gaps > 0 else _DAY_MS,
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


def _newest_shares(queries: int, recents: Recents, group_of: NDArray[np.int32]) -> Affinities:
    """Groups of the newest few items, the newer the greater their share."""
    group = group_of.take(recents.item).astype(np.int64)
    kept = np.flatnonzero((group != NONE) & (recents.place < _NEWEST))
    amount = _BY_STEP.take(np.minimum(recents.step.take(kept), _NEWEST))
    query, group, amount = _summed(recents.query.take(kept), group.take(kept), amount)
    total = np.bincount(query, weights=amount, minlength=queries)
    return Affinities(queries, query, group, amount / total.take(query))


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
