"""What is asked of retrieval: each query is a shopper's profile as of one event.

Profiles never change, so a query holds on to one; all of a batch become arrays at once, in ``Queries.asked``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.core.affinities import affinities
from streamer.core.names import NONE
from streamer.core.packed import BOUGHT, RECENT
from streamer.core.searches import searches_of
from streamer.core.sessions.rows import owner_key
from streamer.core.sessions.sightings import Sightings, sightings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.affinities import Affinities
    from streamer.core.content.embeddings import Directions
    from streamer.core.content.texts import Tastes
    from streamer.core.index import ItemIndex
    from streamer.core.packed import Layout
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import RetrievalSettings
    from streamer.core.searches import Searches

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_WEIGHT_ONE: Final = 256.0
NOT_TOLD: Final = -2
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
class Named:
    """What queries name themselves: ``asking``, these queries, also where nothing they name is known; and the known
    items, ``query`` and ``item`` [a], in query order.
    """

    asking: Ints
    query: Ints
    item: Ints


@dataclass(frozen=True, slots=True)
class Asked:
    """All queries of a batch as arrays [queries].

    ``lines`` and ``bands`` are shares of the newest items alone. ``usual_price``, ``last_price`` (of the newest item):
    log2 of cents, NaN if none is known. ``session_events``: of a session that goes on; ``events``: of all.
    ``mean_gap_ms``: between the shopper's visits, a day until there are two. ``owner``: the shoppers as
    ``SessionIndex`` names them, 0 for nobody. ``last_category``, ``last_brand``: ids of the newest item's, or
    ``NOT_TOLD``, which no item has. ``tastes`` and ``directions``: the shoppers in words and in vectors of content,
    ``None`` where the index has neither or nobody asks. ``factors``: the shoppers in learned vectors [queries, size].
    ``segment``: the nodes of the shoppers' segments, 0 for none. ``about``: what something is to go with. ``wanted``:
    what is a candidate, whoever else proposes it.
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
    sightings: Sightings
    searches: Searches
    tastes: Tastes | None
    directions: Directions | None
    factors: Floats
    segment: tuple[int, ...]
    about: Named
    wanted: Named


class Queries:
    """The queries of a micro-batch. ``len`` tells how many; they are numbered from 0."""

    __slots__ = ("_about", "_by", "_now", "_owners", "_profiles", "_searched", "_segments", "_wanted", "settings")

    def __init__(self, settings: RetrievalSettings) -> None:
        self.settings = settings
        self._now: list[int] = []
        self._profiles: list[Profile | None] = []
        self._owners: list[int] = []
        self._segments: list[int] = []
        self._searched: list[int] = []
        self._about: list[tuple[int, ...] | None] = []
        self._wanted: list[tuple[int, ...] | None] = []
        self._by: list[str] = []

    def __len__(self) -> int:
        return len(self._now)

    def add(
        self,
        profile: Profile | None,
        now_ms: int,
        user: str = "",
        *,
        segment: int = 0,
        searched_ms: int | None = None,
        about: tuple[int, ...] | None = None,
        wanted: tuple[int, ...] | None = None,
        by: str = "model",
    ) -> int:
        """Ask what suits a shopper at a time, and return the query's number.

        ``user`` is whose sessions are not those of others; ``segment``: the node of the shopper's segment.
        ``searched_ms``: as of when they search (``None``: now). ``about``: keys of the items that something is to go
        with (``None``: with those that the shopper touched last). ``wanted``: keys of items that are candidates, also
        if no generator proposes them. ``by``: as ``PolicySettings.rank_by``.
        """
        self._now.append(now_ms)
        self._profiles.append(profile)
        self._owners.append(owner_key(user) if user else 0)
        self._segments.append(segment)
        self._searched.append(now_ms if searched_ms is None else searched_ms)
        self._about.append(about)
        self._wanted.append(wanted)
        self._by.append(by)
        return len(self._now) - 1

    def ranked_by(self) -> dict[str, Ints]:
        """By what they are to be ranked, the queries, where it is not the model that ranks everywhere."""
        kinds = dict.fromkeys(self._by)
        return {
            kind: np.array([n for n, by in enumerate(self._by) if by == kind], np.int64)
            for kind in kinds
            if kind not in {"model", "popularity"}
        }

    def asked(self, index: ItemIndex) -> Asked:
        """The queries as arrays, in terms of an index."""
        count = len(self._now)
        now = np.array(self._now, np.int64)
        owner = np.array(self._owners, np.uint64)
        recents, untold = self._recents(now, index)
        newest = (recents.place == 0).nonzero()[0]
        query, item = recents.query.take(newest), recents.item.take(newest)
        scalars = np.array([_scalars(p, at) for p, at in zip(self._profiles, self._now, strict=True)], np.float64)
        usual_price, session_events, events, mean_gap_ms = np.ascontiguousarray(scalars.reshape(count, 4).T)
        categories, brands, lines, bands = affinities(self._profiles, recents, untold, index)
        last_price = np.full(count, np.nan)
        last_price[query] = index.price.take(item)
        return Asked(
            count,
            now,
            recents,
            self._bought(now, index),
            categories,
            brands,
            lines,
            bands,
            usual_price,
            session_events,
            events,
            mean_gap_ms,
            _told(count, query, index.category.take(item)),
            _told(count, query, index.brand.take(item)),
            last_price,
            owner,
            self._sightings(recents, owner, index),
            searches_of(self._profiles, self._searched),
            index.texts.tastes(count, recents) if self._wants("text") else None,
            index.embeddings.directions(count, recents) if self._wants("embedding") else None,
            index.vectors.shoppers(count, recents),
            tuple(self._segments),
            _named(self._about, index),
            _named(self._wanted, index),
        )

    def _wants(self, family: str) -> bool:
        return family not in self.settings.without or family not in self.settings.without_features

    def _sightings(self, recents: Recents, owner: NDArray[np.uint64], index: ItemIndex) -> Sightings:
        if {"sessions", "following"} <= set(self.settings.without):
            return Sightings(_NO_ROWS, _NO_ROWS)
        return sightings(recents, owner, index.sessions, self.settings.session_recents)

    def _recents(self, now: Ints, index: ItemIndex) -> tuple[Recents, tuple[Ints, Ints]]:
        """The known items; and which of them no event told the category of, and the brand."""
        query, place, rows = _unpacked([b"" if p is None else p.items for p in self._profiles], RECENT)
        item = index.dense_many(rows["key"].tolist())
        known = index.known.take(item)
        if not known.all():
            kept = known.nonzero()[0]
            query, item, place, rows = query.take(kept), item.take(kept), place.take(kept), rows[kept]
        recents = Recents(
            query,
            item,
            place,
            _steps(query, rows["last_s"]),
            np.maximum(now.take(query) - rows["last_s"] * 1000.0, 0.0),
            rows["weight"] / _WEIGHT_ONE,
            rows["views"].astype(np.float64),
            rows["carts"].astype(np.float64),
            rows["purchases"].astype(np.float64),
        )
        return recents, ((rows["category"] == 0).nonzero()[0], (rows["brand"] == 0).nonzero()[0])

    def _bought(self, now: Ints, index: ItemIndex) -> Purchases:
        query, _, rows = _unpacked([b"" if p is None else p.purchased for p in self._profiles], BOUGHT)
        item = index.dense_many(rows["key"].tolist())
        kept = index.known.take(item).nonzero()[0]
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


def _named(items: list[tuple[int, ...] | None], index: ItemIndex) -> Named:
    """The known ones of the ``items`` of each query, by their keys."""
    asking = [n for n, keys in enumerate(items) if keys is not None]
    if not asking:
        return _NOTHING_NAMED
    named = [items[n] or () for n in asking]
    query = np.array(asking, np.int64).repeat([len(keys) for keys in named])
    item = index.dense_many([key for keys in named for key in keys])
    known = index.known.take(item).nonzero()[0]
    return Named(np.array(asking, np.int64), query.take(known), item.take(known))


def _unpacked(packed: list[bytes], layout: Layout[Any]) -> tuple[Ints, Ints, NDArray[np.void]]:
    """The rows of all profiles, in query order, each profile's last first: query, place among its own, and row."""
    # Joined last query first and then gone through backwards as a whole.
    rows = np.frombuffer(b"".join(packed[::-1]), layout.dtype)[::-1]
    sizes = np.array([len(each) for each in packed], np.int64) // layout.size
    query = np.arange(len(packed)).repeat(sizes)
    return query, np.arange(len(query)) - (sizes.cumsum() - sizes).repeat(sizes), rows


def _steps(query: Ints, last_s: NDArray[np.uint32]) -> Ints:
    """Of rows in query order, newest first: how many other moments came after."""
    if not len(query):
        return query
    new = np.empty(len(query), np.bool_)
    new[0] = True
    np.not_equal(query[1:], query[:-1], out=new[1:])
    moment = new.copy()
    moment[1:] |= last_s[1:] != last_s[:-1]
    moments = moment.cumsum()
    steps: Ints = moments - np.maximum.accumulate(moments * new)
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


def _told(queries: int, query: Ints, group: NDArray[np.int32]) -> Ints:
    """The group of each query's newest item."""
    told = np.full(queries, NOT_TOLD, np.int64)
    told[query] = group
    told[told == NONE] = NOT_TOLD
    return told


_NAN: Final = float("nan")
_NO_ROWS: Final = np.zeros(0, np.int64)
_NOTHING_NAMED: Final = Named(_NO_ROWS, _NO_ROWS, _NO_ROWS)
