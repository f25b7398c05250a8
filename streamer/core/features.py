"""What the model is told of each candidate: the list of features, and how they are computed for a whole batch.

Features are about one in size, logarithms where they count something, clipped into their ranges; ranges are wide
enough that clipping is for what is absurd. All are computed element by element, so that a candidate's features do not
depend on what other queries ask for, and but for those of the list as a whole (``choices``, ``rivals``) not on the
candidates beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import LOG2_E, exp2, log2, log2_1p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.affinities import Affinities
    from streamer.core.candidates.pool import Pool
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Feature:
    """One row of X.

    ``group``: the family it belongs to, that of a generator or one of its own; families are switched off as a whole.
    ``low`` and ``high`` bound it. ``prior`` is its weight before anything was learned, in log-odds per unit. ``says``:
    what a high value means to a shopper, with the fields that ``reasons.py`` fills; empty if it means nothing to one.
    """

    name: str
    group: str
    unit: str
    low: float
    high: float
    prior: float
    says: str = ""


_WITH: Final = "often viewed with {with}"
_AGAIN: Final = "you bought it before"
_LOOKED: Final = "you looked at {newest} {newest_times}"
_SIMILAR: Final = "much like {newest}"
_ALIKE: Final = "chosen by shoppers who looked at the same"
_NEXT: Final = "what others looked at after {newest}"
_GOES_WITH: Final = "often bought with what you chose"
_SEARCHED: Final = "you searched for it"
_RISES: Final = "rising fast"
_FITS: Final = "fits what you looked at"
_LIKE_YOU: Final = "popular with shoppers like you"
_CATEGORY: Final = "in {category}, which you browse"
_BRAND: Final = "by {brand}, which you like"
_OWN: Final = "you looked at it {times}"
FEATURES: Final = (
    Feature("recent", "recent", "log2(1 + views), faded by hours", 0.0, 8.0, 0.5, _OWN),
    Feature("covisitation", "covisitation", "log2(1 + 16 * faded amount over popularity) / 4", 0.0, 4.0, 1.5, _WITH),
    Feature("covisitation_last", "covisitation", "share of the newest item's interest", 0.0, 1.0, 1.8, _LOOKED),
    Feature("covisitation_support", "covisitation", "log2(1 + faded amount) / 8", 0.0, 4.0, 0.6, _WITH),
    Feature("sessions", "sessions", "log2(1 + 256 * share of the nearest sessions' votes) / 8", 0.0, 1.0, 2.0, _ALIKE),
    Feature("sessions_votes", "sessions", "log2(1 + votes of the nearest sessions) / 8", 0.0, 1.0, 0.5, _ALIKE),
    Feature("following", "following", "log2(1 + 256 * share of sessions where it came next) / 8", 0.0, 1.0, 1.5, _NEXT),
    Feature("preceding", "following", "log2(1 + 256 * share of sessions where it came before) / 8", 0.0, 1.0, 0.5),
    Feature("category_affinity", "category_affinity", "share by place in the list", 0.0, 1.0, 0.3, _CATEGORY),
    Feature("trending", "trending", "place in the list, 1 the first", 0.0, 1.0, 0.0, "popular right now"),
    Feature("popularity", "trending", "log2 of faded views / 8", -1.0, 4.0, 0.3, "popular"),
    Feature("trend", "trending", "log2 of faded views / 8", -1.0, 4.0, 0.5, "popular right now"),
    Feature("rise", "trending", "log2 of trend over what popularity implies / 4", -2.0, 2.0, -0.2, "rising fast"),
    Feature("own_views", "recent", "log2(1 + views)", 0.0, 8.0, 0.0, _OWN),
    Feature("own_carts", "recent", "log2(1 + times put in the cart)", 0.0, 8.0, 0.5, "you had it in your cart"),
    Feature("own_purchases", "recent", "log2(1 + purchases)", 0.0, 8.0, 0.5),
    Feature("own_hour", "recent", "1 now, halved by each hour since touched", 0.0, 1.0, 0.2, _OWN),
    Feature("own_days", "recent", "1 now, halved by each three days since touched", 0.0, 1.0, 0.3, _OWN),
    Feature("own_place", "recent", "1 for the newest item, 1/2 for the one before, …", 0.0, 1.0, 1.8, _OWN),
    Feature("replenishment", "replenishment", "1 over one more than visits' gaps since bought", 0.0, 1.0, 0.5, _AGAIN),
    Feature("bought_orders", "replenishment", "log2(1 + orders it was in)", 0.0, 8.0, 0.3, _AGAIN),
    Feature("bought_share", "replenishment", "orders over visits since first bought", 0.0, 1.0, 1.0, _AGAIN),
    Feature("bought_step", "replenishment", "1 for the last order's, 1/2 for the one before, …", 0.0, 1.0, 0.0),
    Feature("bought_rhythm", "replenishment", "log2 of age over the item's own mean gap / 4", -1.0, 1.0, 0.0),
    Feature("own_step", "recent", "1 for what was touched last, all of an order, then 1/2, …", 0.0, 1.0, 0.3, _OWN),
    Feature("own_gaps", "recent", "1 over one more than visits' gaps since touched", 0.0, 1.0, 0.3, _OWN),
    Feature("in_cart", "recent", "1 if carted and not bought", 0.0, 1.0, 0.6, "it is in your cart"),
    Feature("category_share", "category_affinity", "share of the shopper's interest", 0.0, 1.0, 0.7, _CATEGORY),
    Feature("brand_share", "brand", "share of the shopper's interest", 0.0, 1.0, 0.4, _BRAND),
    Feature("price_distance", "price", "|log2 of price over the shopper's usual price|", 0.0, 4.0, -0.25),
    Feature("item_age", "item", "square root of days since first seen / 16", 0.0, 2.0, 0.0),
    Feature("cart_rate", "item", "carts a view, smoothed", 0.0, 1.0, 0.1, "often put in the cart"),
    Feature("purchase_rate", "item", "purchases a view, smoothed", 0.0, 1.0, 0.1, "often bought"),
    Feature("same_category", "category_affinity", "1 if as the newest item's", 0.0, 1.0, 0.9, _CATEGORY),
    Feature("same_brand", "brand", "1 if as the newest item's", 0.0, 1.0, 0.6, _BRAND),
    Feature("content", "content", "share by place in the lists", 0.0, 1.0, 0.5, _SIMILAR),
    Feature("line_share", "content", "share of the newest items: same category and brand", 0.0, 1.0, 0.4, _SIMILAR),
    Feature("band_share", "content", "share of the newest items: same category and price", 0.0, 1.0, 0.4, _SIMILAR),
    Feature("price_last", "content", "|log2 of price over the newest item's|", 0.0, 4.0, -0.2),
    Feature("dearer", "content", "log2 of price over the newest item's", -2.0, 2.0, 0.0),
    Feature("session_events", "context", "log2(1 + events of this session) / 4", 0.0, 4.0, 0.0),
    Feature("activity", "context", "log2(1 + events of the shopper) / 8", 0.0, 4.0, 0.0),
    Feature("choices", "context", "log2(1 + candidates of the list) / 4", 0.0, 4.0, 0.0),
    Feature("rivals", "context", "log2 of what the priors make of the whole list / 4", -5.0, 8.0, 0.0),
    Feature("complements", "complements", "log2(1 + lift) / 8", 0.0, 2.0, 0.5, _GOES_WITH),
    Feature("complements_share", "complements", "log2(1 + 256 * share of baskets) / 8", 0.0, 2.0, 0.5, _GOES_WITH),
    Feature("search", "search", "log2(1 + 256 * share of searchers' choices) / 8", 0.0, 1.0, 1.0, _SEARCHED),
    Feature(
        "rising", "rising", "log2(1 + deviations above the usual, by share of interest) / 8", 0.0, 1.0, 0.2, _RISES
    ),
    Feature("newcomers", "newcomers", "log2(1 + 256 * share of newcomers' choices) / 8", 0.0, 1.0, 0.5, "popular"),
    Feature("fresh", "fresh", "share of the newest items alike, over the root of views", 0.0, 1.0, 0.3, "new here"),
    Feature("few_views", "fresh", "1 over the root of one more than the views", 0.0, 1.0, 0.0),
    Feature("search_words", "search", "BM25 over what all words would give, by newness", 0.0, 2.0, 1.0, _SEARCHED),
    Feature("vectors", "vectors", "product of the vectors / 8", -2.0, 4.0, 0.0, _FITS),
    Feature("vectors_cosine", "vectors", "cosine of the vectors", -1.0, 1.0, 0.0),
    Feature("text", "text", "cosine of the words and the newest items'", 0.0, 1.0, 0.3, _SIMILAR),
    Feature("text_last", "text", "cosine of the words and the newest item's", 0.0, 1.0, 0.2, _SIMILAR),
    Feature("embedding", "embedding", "cosine of catalog vectors, the newest items'", -1.0, 1.0, 0.5, _SIMILAR),
    Feature("embedding_last", "embedding", "cosine of catalog vectors, the newest item's", -1.0, 1.0, 0.3, _SIMILAR),
    Feature("segment", "segment", "log2(1 + 256 * share of the segment's choices) / 8", 0.0, 1.0, 0.3, _LIKE_YOU),
)

ROW: Final = {feature.name: n for n, feature in enumerate(FEATURES)}
_HOUR_MS: Final = 3_600_000.0
_DAY_MS: Final = 24 * _HOUR_MS
_LOWS: Final = [feature.low for feature in FEATURES]
_HIGHS: Final = [feature.high for feature in FEATURES]
_PRIORS: Final = [(row, feature.prior * LOG2_E) for row, feature in enumerate(FEATURES) if feature.prior]
_LEAST_TOTAL: Final = 1e-6
_LEAST_LEVEL: Final = -8.0
"""An item of less than 2^-8 views, or of none, counts as one of as much."""


def compute(pool: Pool, asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Floats:
    """X, float64 [F, n]: the features of ``FEATURES``, in that order, of each candidate of the pool.

    Popularity and trend are kept as levels, which are logarithms already; so most candidates cost no logarithm.
    """
    x = np.zeros((len(FEATURES), len(pool.item)))
    item, query, scores, items = pool.item, pool.query, pool.scores, settings.items

    popularity = index.popularity.take(item)
    popularity -= (asked.now_ms / items.interest_half_life_ms).take(query)
    np.maximum(popularity, _LEAST_LEVEL, out=popularity)
    trend = index.trend.take(item)
    trend -= (asked.now_ms / items.trend_half_life_ms).take(query)
    np.maximum(trend, _LEAST_LEVEL, out=trend)
    np.multiply(popularity, 0.125, out=x[ROW["popularity"]])
    np.multiply(trend, 0.125, out=x[ROW["trend"]])
    # Of a steady stream of interest a sum holds views in proportion to its half-life.
    steady = log2(items.interest_half_life_ms / items.trend_half_life_ms)
    _set(x, "rise", (trend - popularity + steady) * 0.25)

    x[ROW["trending"]] = scores["trending"]
    x[ROW["category_affinity"]] = scores["category_affinity"]
    _set(x, "covisitation_last", scores["covisitation_last"])
    _logarithms(x, scores, popularity)
    _own(x, pool, asked)
    _bought(x, pool, asked)
    _fit(x, pool, asked, index)

    x[ROW["cart_rate"]] = index.cart_rate.take(item)
    x[ROW["purchase_rate"]] = index.purchase_rate.take(item)
    age_days = (asked.now_ms / _DAY_MS).take(query) - index.first_day.take(item)
    _set(x, "item_age", np.sqrt(np.maximum(age_days, 0.0)) * 0.0625)
    category, brand = index.category.take(item), index.brand.take(item)
    x[ROW["category_share"]] = _share(asked.categories, query, category, len(index.categories))
    x[ROW["brand_share"]] = _share(asked.brands, query, brand, len(index.brands))
    x[ROW["same_category"]] = category == asked.last_category.take(query)
    x[ROW["same_brand"]] = brand == asked.last_brand.take(query)
    # An unknown price is NaN, and so is the distance to or from it.
    price = index.price.take(item)
    distance = np.abs(price - asked.usual_price.take(query))
    x[ROW["price_distance"]] = np.where(np.isnan(distance), 0.0, np.minimum(distance, 4.0))
    x[ROW["replenishment"]] = scores["replenishment"]
    x[ROW["content"]] = scores["content"]
    _set(x, "search_words", scores["search_words"])
    x[ROW["fresh"]] = scores["fresh"]
    x[ROW["few_views"]] = 1.0 / np.sqrt(1.0 + index.views.take(item).astype(np.float64))
    x[ROW["line_share"]] = _share(asked.lines, query, index.line.take(item), len(index.lines))
    x[ROW["band_share"]] = _share(asked.bands, query, index.band.take(item), len(index.bands))
    dearer = price - asked.last_price.take(query)
    dearer[np.isnan(dearer)] = 0.0
    _set(x, "dearer", dearer)
    _set(x, "price_last", np.abs(dearer))
    of_session, of_all = log2_1p(np.concatenate((asked.session_events, asked.events))).reshape(2, -1)
    x[ROW["session_events"]] = np.minimum(of_session * 0.25, 4.0).take(query)
    x[ROW["activity"]] = np.minimum(of_all * 0.125, 4.0).take(query)
    _listed(x, pool)
    if settings.without_features:
        x[rows_of(settings.without_features)] = 0.0
    return x


def rows_of(names: Sequence[str]) -> list[int]:
    """The rows of features, by their names or by the names of their groups."""
    return [row for row, feature in enumerate(FEATURES) if feature.name in names or feature.group in names]


def _listed(x: Floats, pool: Pool) -> None:
    """How many candidates there are and how strong they are together: one row's chances fall with both.

    Strong is what the priors give much: the sum over the list of e to the power of their score.
    """
    query, queries = pool.query, len(pool.offsets) - 1
    # Rows in order of features, candidates in order within their query: nothing else shows in a sum.
    score = np.zeros(x.shape[1])
    for row, prior in _PRIORS:
        score += x[row] * prior
    total = np.bincount(query, weights=exp2(score), minlength=queries)
    count = (pool.offsets[1:] - pool.offsets[:-1]).astype(np.float64)
    _set(x, "choices", (log2_1p(count) * 0.25).take(query))
    _set(x, "rivals", (log2(np.maximum(total, _LEAST_TOTAL)) * 0.25).take(query))


def _set(x: Floats, name: str, values: Floats, at: NDArray[np.int64] | slice = slice(None)) -> None:
    """Put a feature's values, clipped into its range, at all rows or some."""
    row = ROW[name]
    x[row, at] = np.minimum(np.maximum(values, _LOWS[row]), _HIGHS[row])


_AS_SHARES: Final = (
    ("sessions", 256.0),
    ("following", 256.0),
    ("preceding", 256.0),
    ("sessions_votes", 1.0),
    ("complements", 1.0),
    ("complements_share", 256.0),
    ("search", 256.0),
    ("rising", 1.0),
    ("newcomers", 256.0),
    ("segment", 256.0),
)


def _logarithms(x: Floats, scores: dict[str, Floats], popularity: Floats) -> None:
    """Scores that are mostly 0 and small where they are not, on a logarithmic scale: one call for all.

    Co-visitation with the recents is told as such, and for how popular the candidate is anyway.
    """
    names, places, values, scales = [], [], [], []
    for name, unit in _AS_SHARES:
        at = scores[name].nonzero()[0]
        names.append(name)
        places.append(at)
        values.append(scores[name].take(at) * unit)
        scales.append(0.125)
    amount = scores["covisitation"]
    at = amount.nonzero()[0]
    support = amount.take(at)
    expected = np.sqrt(exp2(popularity.take(at)) + 1.0)
    names += ["covisitation_support", "covisitation"]
    places += [at, at]
    values += [support, support / expected * 16.0]
    scales += [0.125, 0.25]
    logarithms = log2_1p(np.concatenate(values))
    start = 0
    for name, at, scale in zip(names, places, scales, strict=True):
        _set(x, name, logarithms[start : start + len(at)] * scale, at)
        start += len(at)


def _fit(x: Floats, pool: Pool, asked: Asked, index: ItemIndex) -> None:
    """How well candidates fit the shopper by vectors, those that are learned and those of content, and by words."""
    product, cosine = index.vectors.likeness(asked.factors, pool.query, pool.item)
    _set(x, "vectors", product * 0.125)
    _set(x, "vectors_cosine", cosine)
    if asked.tastes is not None:
        every, newest = index.texts.likeness(asked.tastes, pool.query, pool.item)
        _set(x, "text", every)
        _set(x, "text_last", newest)
    if asked.directions is not None:
        every, newest = index.embeddings.likeness(asked.directions, pool.query, pool.item)
        _set(x, "embedding", every)
        _set(x, "embedding_last", newest)


def _own(x: Floats, pool: Pool, asked: Asked) -> None:
    """The features of candidates that the shopper touched before; of others they stay 0."""
    at = (pool.own >= 0).nonzero()[0]
    rows = pool.own.take(at)
    recents = asked.recents
    carts, purchases, age = recents.carts.take(rows), recents.purchases.take(rows), recents.age_ms.take(rows)
    counts = log2_1p(np.concatenate((pool.scores["recent"].take(at), recents.views.take(rows), carts, purchases)))
    for n, name in enumerate(("recent", "own_views", "own_carts", "own_purchases")):
        _set(x, name, counts[n * len(at) : (n + 1) * len(at)], at)
    faded = exp2(np.concatenate((age / -_HOUR_MS, age / (-3.0 * _DAY_MS))))
    x[ROW["own_hour"], at] = faded[: len(at)]
    x[ROW["own_days"], at] = faded[len(at) :]
    x[ROW["own_place"], at] = 1.0 / (1.0 + recents.place.take(rows))
    x[ROW["own_step"], at] = 1.0 / (1.0 + recents.step.take(rows))
    x[ROW["own_gaps"], at] = 1.0 / (1.0 + age / asked.mean_gap_ms.take(recents.query.take(rows)))
    x[ROW["in_cart"], at] = (carts > 0) & (purchases == 0)


def _bought(x: Floats, pool: Pool, asked: Asked) -> None:
    """The features of candidates that the shopper bought before."""
    at = np.flatnonzero(pool.bought >= 0)
    if not len(at):
        return
    rows, bought = pool.bought[at], asked.bought
    age, known, orders = bought.age_ms[rows], bought.known_ms[rows], bought.orders[rows]
    visits = 1.0 + known / asked.mean_gap_ms.take(bought.query[rows])
    _set(x, "bought_orders", log2_1p(orders), at)
    _set(x, "bought_share", orders / np.maximum(visits, orders), at)
    x[ROW["bought_step"], at] = 1.0 / (1.0 + bought.step[rows])
    # Of what was bought once there is no gap to compare with.
    gap = np.where(orders > 1.0, (known - age) / np.maximum(orders - 1.0, 1.0), age)
    _set(x, "bought_rhythm", log2((age + _HOUR_MS) / (gap + _HOUR_MS)) * 0.25, at)


def _share(affinities: Affinities, query: NDArray[np.int64], group: NDArray[np.int32], groups: int) -> Floats:
    """The share of each row's group in its query's interest, 0 if it has none."""
    if not len(affinities.group):
        return np.zeros(len(query))
    # NONE, which is -1, reads a last entry, which no group has: of the query before, or of the last one.
    width = groups + 1
    if affinities.queries * width > _SMALL:
        # Ids to the few columns that the batch has; the last is for what nobody asked of.
        present = np.zeros(groups, np.bool_)
        present[affinities.group] = True
        some = present.nonzero()[0]
        column = np.full(groups + 1, len(some), np.int64)
        column[some] = np.arange(len(some))
        width = len(some) + 1
        asked_for, at = column.take(affinities.group), column.take(group)
    else:
        asked_for, at = affinities.group, group.astype(np.int64)
    table = np.zeros(affinities.queries * width)
    table[affinities.query * width + asked_for] = affinities.share
    share: Floats = table.take(query * width + at)
    return share


_SMALL: Final = 1 << 14
"""Entries that are sooner cleared than done without."""
