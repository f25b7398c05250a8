"""The feature list, and that features say what their names do."""

from __future__ import annotations

import math
import string

import numpy as np
import pytest

from streamer.core.candidates.pool import retrieve
from streamer.core.events import Event, Line, item_key
from streamer.core.features import FEATURES, ROW, compute
from tests.core.shop import RETRIEVAL, START_MS, Shop, shared_shop


def test_the_list_is_well_formed() -> None:
    """Distinct names, ranges that hold something, finite priors, known fields in the words."""
    assert len({f.name for f in FEATURES}) == len(FEATURES)
    for feature in FEATURES:
        assert feature.low < feature.high
        assert math.isfinite(feature.prior)
        assert feature.unit
        fields = {name for _, name, _, _ in string.Formatter().parse(feature.says) if name}
        assert fields <= {"times", "with", "newest", "newest_times", "category", "brand"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_features_are_finite_in_range_and_fit_into_half_precision(seed: int) -> None:
    """For all kinds of shoppers and items."""
    shop = shared_shop(seed)
    index = shop.index()
    index.apply_catalog("never seen", b'{"category": "category 1", "price": 3}')
    asked = shop.queries([*sorted(shop.profiles), "stranger"]).asked(index)
    x = compute(retrieve(asked, index, RETRIEVAL), asked, index, RETRIEVAL)
    assert np.isfinite(x).all()
    for feature, row in zip(FEATURES, x, strict=True):
        assert row.min() >= feature.low
        assert row.max() <= feature.high
    assert np.isfinite(x.astype(np.float16)).all()


def test_every_feature_tells_candidates_or_shoppers_apart() -> None:
    """None is constant over a whole shop."""
    shop = shared_shop()
    index = shop.index()
    asked = shop.queries(sorted(shop.profiles)).asked(index)
    x = compute(retrieve(asked, index, RETRIEVAL), asked, index, RETRIEVAL)
    # All of a small shop's sessions are equally old or over.
    constant = {FEATURES[n].name for n in range(len(FEATURES)) if x[n].min() == x[n].max()}
    assert constant <= {"session_events"}


def test_own_features_are_the_profile_s_and_zero_for_strange_items() -> None:
    """Views, place and cart of the newest item, by hand."""
    shop = shared_shop()
    index = shop.index()
    profile = shop.profiles["user 4"]
    newest = profile.recents()[-1]
    asked = shop.queries(["user 4"]).asked(index)
    pool = retrieve(asked, index, RETRIEVAL)
    x = compute(pool, asked, index, RETRIEVAL)
    at = pool.item.tolist().index(index.dense(newest.key))
    age_h = (shop.now_ms - newest.last_s * 1000) / 3_600_000
    assert x[ROW["own_views"], at] == pytest.approx(math.log2(1 + newest.views))
    assert x[ROW["own_place"], at] == 1.0
    assert x[ROW["own_hour"], at] == pytest.approx(2**-age_h)
    assert x[ROW["in_cart"], at] == float(newest.carts > 0 and newest.purchases == 0)
    touched = {index.dense(r.key) for r in profile.recents()}
    strange = [n for n, item in enumerate(pool.item.tolist()) if item not in touched]
    own = [ROW[name] for name in ("own_views", "own_carts", "own_purchases", "own_hour", "own_days", "own_place")]
    assert strange
    assert not x[np.ix_(own, strange)].any()


def test_category_share_is_the_share_of_the_candidate_s_category() -> None:
    """Against the affinities, one by one."""
    shop = shared_shop()
    index = shop.index()
    asked = shop.queries(["user 4", "user 5"]).asked(index)
    pool = retrieve(asked, index, RETRIEVAL)
    x = compute(pool, asked, index, RETRIEVAL)
    shares = dict(
        zip(
            zip(asked.categories.query.tolist(), asked.categories.group.tolist(), strict=True),
            asked.categories.share.tolist(),
            strict=True,
        )
    )
    expected = [
        shares.get((q, int(index.category[i])), 0.0)
        for q, i in zip(pool.query.tolist(), pool.item.tolist(), strict=True)
    ]
    assert x[ROW["category_share"]].tolist() == expected


def test_what_was_bought_is_told_by_orders_and_by_its_own_rhythm() -> None:
    """Bought at days 0, 2 and 4 by one who came every day, seen at day 6: due, and in three of seven visits."""
    day_ms = 24 * 3_600_000
    shop = Shop()
    for day in range(7):
        lines = [Line(name, item_key(name)) for name in (f"only {day}", "again") if name != "again" or day in {0, 2, 4}]
        kind = "purchase" if day < 5 else "view"
        shop.happen(Event("user", str(day), "test", kind, START_MS + day * day_ms, day, tuple(lines)))
    index = shop.index()
    asked = shop.queries(["user"]).asked(index)
    pool = retrieve(asked, index, RETRIEVAL)
    x = compute(pool, asked, index, RETRIEVAL)
    at = pool.item.tolist().index(index.dense(item_key("again")))
    assert x[ROW["bought_orders"], at] == pytest.approx(2.0)
    assert x[ROW["bought_share"], at] == pytest.approx(3 / 7)
    assert x[ROW["bought_step"], at] == 1.0
    assert x[ROW["bought_rhythm"], at] == pytest.approx(0.0)
    assert x[ROW["replenishment"], at] == pytest.approx(1 / 3)
    viewed = pool.item.tolist().index(index.dense(item_key("only 6")))
    told = [ROW[name] for name in ("bought_orders", "bought_share", "bought_step", "bought_rhythm")]
    assert not x[told, viewed].any()
    assert pool.bought[viewed] == -1


def test_the_features_of_a_list_as_a_whole_count_it_and_sum_up_what_the_priors_give() -> None:
    """By hand, for each of three shoppers: alike in all rows of a list, and another in each list."""
    shop = shared_shop()
    index = shop.index()
    asked = shop.queries(["user 1", "user 2", "stranger"]).asked(index)
    pool = retrieve(asked, index, RETRIEVAL)
    x = compute(pool, asked, index, RETRIEVAL)
    priors = np.array([feature.prior for feature in FEATURES])
    for query in range(3):
        mine = x[:, pool.query == query]
        strength = np.exp(priors @ mine).sum()
        assert mine[ROW["choices"]] == pytest.approx(math.log2(1 + mine.shape[1]) / 4)
        assert mine[ROW["rivals"]] == pytest.approx(math.log2(strength) / 4)
    assert len(set(x[ROW["rivals"]].tolist())) == 3
