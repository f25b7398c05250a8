"""What the model is told of each candidate: the list of features, and how they are computed for a whole batch.

Features are about one in size, logarithms where they count something, clipped into their ranges; ranges are wide
enough that clipping is for what is absurd. All are computed element by element, so that a candidate's features do not
depend on what else is ranked with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import exp2, log2_1p
from streamer.core.index import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.candidates.pool import Pool
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Affinities, Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of X.

    ``low`` and ``high`` bound it. ``prior`` is its weight before anything was learned, in log-odds per unit. ``says``:
    what a high value means to a shopper, with the fields that ``reasons.py`` fills; empty if it means nothing to one.
    """

    name: str
    unit: str
    low: float
    high: float
    prior: float
    says: str = ""


_OWN: Final = "you looked at it {times}"
FEATURES: Final = (
    Feature("recent", "log2(1 + views), faded by hours", 0.0, 8.0, 0.8, _OWN),
    Feature("covisitation", "log2(1 + faded amount over popularity) / 4", 0.0, 4.0, 2.0, "often viewed with {with}"),
    Feature("covisitation_last", "share of the newest item's interest", 0.0, 1.0, 2.0, "often viewed with {with}"),
    Feature("covisitation_support", "log2(1 + faded amount) / 8", 0.0, 4.0, 1.0, "often viewed with {with}"),
    Feature("category_affinity", "share by place in the list", 0.0, 1.0, 0.3, "in {category}, which you browse"),
    Feature("trending", "place in the list, 1 the first", 0.0, 1.0, 0.4, "popular right now"),
    Feature("popularity", "log2(1 + faded views) / 8", 0.0, 4.0, 0.2, "popular"),
    Feature("trend", "log2(1 + faded views) / 8", 0.0, 4.0, 0.6, "popular right now"),
    Feature("rise", "log2 of trend over what popularity leads to expect / 4", -2.0, 2.0, 0.1, "rising fast"),
    Feature("own_views", "log2(1 + views)", 0.0, 8.0, 0.3, _OWN),
    Feature("own_carts", "log2(1 + times put in the cart)", 0.0, 8.0, 0.3, "you had it in your cart"),
    Feature("own_purchases", "log2(1 + purchases)", 0.0, 8.0, -0.3),
    Feature("own_hour", "1 now, halved by each hour since touched", 0.0, 1.0, 0.8, _OWN),
    Feature("own_days", "1 now, halved by each three days since touched", 0.0, 1.0, 0.8, _OWN),
    Feature("own_place", "1 for the newest item, 1/2 for the one before, …", 0.0, 1.0, 0.8, _OWN),
    Feature("in_cart", "1 if carted and not bought", 0.0, 1.0, 0.5, "it is in your cart"),
    Feature("category_share", "share of the shopper's interest", 0.0, 1.0, 0.4, "in {category}, which you browse"),
    Feature("brand_share", "share of the shopper's interest", 0.0, 1.0, 0.4, "by {brand}, which you like"),
    Feature("price_distance", "|log2 of price over the shopper's usual price|", 0.0, 4.0, -0.1),
    Feature("item_age", "log2(1 + days since first seen) / 8", 0.0, 2.0, 0.0),
    Feature("cart_rate", "carts a view, smoothed", 0.0, 1.0, 0.2, "often put in the cart"),
    Feature("purchase_rate", "purchases a view, smoothed", 0.0, 1.0, 0.2, "often bought"),
    Feature("same_category", "1 if as the newest item's", 0.0, 1.0, 0.3, "in {category}, which you browse"),
    Feature("same_brand", "1 if as the newest item's", 0.0, 1.0, 0.2, "by {brand}, which you like"),
    Feature("session_events", "log2(1 + events of this session) / 4", 0.0, 4.0, 0.0),
    Feature("activity", "log2(1 + events of the shopper) / 8", 0.0, 4.0, 0.0),
)

ROW: Final = {feature.name: n for n, feature in enumerate(FEATURES)}
_HOUR_MS: Final = 3_600_000.0
_DAY_MS: Final = 24 * _HOUR_MS
_LOWS: Final = np.array([feature.low for feature in FEATURES])[:, None]
_HIGHS: Final = np.array([feature.high for feature in FEATURES])[:, None]
# A rate is counted as if so many views with an average outcome had been seen before.
_SMOOTHING: Final = 20.0
_CART_RATE: Final = 0.05
_PURCHASE_RATE: Final = 0.02


def compute(pool: Pool, asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Floats:
    """X, float64 [F, n]: the features of ``FEATURES``, in that order, of each candidate of the pool."""
    x = np.zeros((len(FEATURES), len(pool.item)))
    item, query, scores = pool.item, pool.query, pool.scores
    items = settings.items

    # Levels to values: all of an item's sums at once, as of each query's time.
    levels = np.empty((2, len(item)))
    levels[0] = index.popularity[item] - (asked.now_ms / items.interest_half_life_ms)[query]
    levels[1] = index.trend[item] - (asked.now_ms / items.trend_half_life_ms)[query]
    popularity, trend = exp2(levels)
    # Of a steady stream of interest a sum holds a number of views in proportion to its half-life.
    steady = items.interest_half_life_ms / items.trend_half_life_ms

    x[ROW["recent"]] = scores["recent"]
    x[ROW["covisitation"]] = scores["covisitation"] / np.sqrt(popularity + 1.0) * _COSINE
    x[ROW["covisitation_support"]] = scores["covisitation"]
    x[ROW["popularity"]] = popularity
    x[ROW["trend"]] = trend
    x[ROW["session_events"]] = asked.session_events[query]
    x[ROW["activity"]] = asked.events[query]
    x[ROW["item_age"]] = np.maximum(asked.now_ms[query] - index.first_s[item] * 1000.0, 0.0) / _DAY_MS
    for name, scale in _LOGARITHMS.items():
        x[ROW[name]] = log2_1p(x[ROW[name]]) * scale
    x[ROW["rise"]] = (log2_1p(trend * steady) - log2_1p(popularity)) * 0.25

    x[ROW["covisitation_last"]] = scores["covisitation_last"]
    x[ROW["category_affinity"]] = scores["category_affinity"]
    x[ROW["trending"]] = scores["trending"]
    views = index.views[item] + _SMOOTHING
    x[ROW["cart_rate"]] = (index.carts[item] + _SMOOTHING * _CART_RATE) / views
    x[ROW["purchase_rate"]] = (index.purchases[item] + _SMOOTHING * _PURCHASE_RATE) / views

    category = index.category[item]
    brand = index.brand[item]
    x[ROW["category_share"]] = _share(asked.categories, query, category, asked.count)
    x[ROW["brand_share"]] = _share(asked.brands, query, brand, asked.count)
    x[ROW["same_category"]] = (category == asked.last_category[query]) & (category != NONE)
    x[ROW["same_brand"]] = (brand == asked.last_brand[query]) & (brand != NONE)
    usual = asked.price_mean[query]
    distance = np.abs(index.price[item] - usual)
    x[ROW["price_distance"]] = np.where((usual > 0.0) & (distance == distance), distance, 0.0)  # noqa: PLR0124 -- NaN

    _own(x, pool, asked)
    np.maximum(x, _LOWS, out=x)
    np.minimum(x, _HIGHS, out=x)
    return x


_COSINE: Final = 16.0
_LOGARITHMS: Final = {
    "recent": 1.0,
    "covisitation": 0.25,
    "covisitation_support": 0.125,
    "popularity": 0.125,
    "trend": 0.125,
    "item_age": 0.125,
    "session_events": 0.25,
    "activity": 0.125,
}


def _own(x: Floats, pool: Pool, asked: Asked) -> None:
    """The features of candidates that the shopper touched before; of others they stay 0."""
    at = np.flatnonzero(pool.own >= 0)
    rows = pool.own[at]
    recents = asked.recents
    carts, purchases, age = recents.carts[rows], recents.purchases[rows], recents.age_ms[rows]
    x[ROW["own_views"], at] = log2_1p(recents.views[rows])
    x[ROW["own_carts"], at] = log2_1p(carts)
    x[ROW["own_purchases"], at] = log2_1p(purchases)
    x[ROW["own_hour"], at] = exp2(age / -_HOUR_MS)
    x[ROW["own_days"], at] = exp2(age / (-3.0 * _DAY_MS))
    x[ROW["own_place"], at] = 1.0 / (1.0 + recents.place[rows])
    x[ROW["in_cart"], at] = (carts > 0) & (purchases == 0)


def _share(affinities: Affinities, query: NDArray[np.int64], group: NDArray[np.int32], queries: int) -> Floats:
    """The share of each row's group in its query's interest, 0 if it has none."""
    count = len(affinities.group)
    if not count:
        return np.zeros(len(query))
    # Ids to the few columns that the batch has: the last column is for what nobody asked of.
    present = np.sort(affinities.group)
    column = np.full(int(max(present[-1], group.max(initial=0))) + 2, count, np.int64)
    column[present] = np.arange(count)
    table = np.zeros((queries, count + 1))
    table[affinities.query, column[affinities.group]] = affinities.share
    # An id of NONE, -1, reads the last entry, which no group has.
    share: Floats = table.ravel().take(query * (count + 1) + column[group])
    return share
