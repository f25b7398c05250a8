"""Generators and features can be switched off by name, and the rest goes on as it was."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from streamer.core.candidates.registry import GENERATORS
from streamer.core.events import Event, Line, item_key
from streamer.core.features import FEATURES, ROW
from streamer.core.models.registry import prior_model
from streamer.core.queries import Queries
from streamer.core.rank import Ranked, discover, rank_queries, top
from tests.core.shop import RETRIEVAL, make_shop, shared_shop

MODEL = prior_model()


@cache
def ranked_without(generators=(), features=()) -> Ranked:
    """Read-only."""
    shop = shared_shop()
    queries = Queries(replace(RETRIEVAL, without=generators, without_features=features))
    asked = shop.queries(sorted(shop.profiles))
    for profile, now_ms in zip(asked._profiles, asked._now, strict=True):
        queries.add(profile, now_ms, segment=shop.segments.node(profile, now_ms))
    return rank_queries(queries, shop.index(), MODEL)


@pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.name)
def test_a_generator_that_is_switched_off_proposes_nothing_and_scores_nothing(generator) -> None:
    """And what only it proposed is gone, what others proposed is still there."""
    full, rest = ranked_without(), ranked_without(generators=(generator.name,))
    assert all(full.pool.scores[column].any() for column in generator.columns)
    assert not any(rest.pool.scores[column].any() for column in generator.columns)
    others = [column for g in GENERATORS if g is not generator for column in g.columns]
    kept = np.any([full.pool.scores[column] != 0 for column in others], axis=0)
    pairs = set(zip(full.pool.query[kept].tolist(), full.keys[kept].tolist(), strict=True))
    assert pairs <= set(zip(rest.pool.query.tolist(), rest.keys.tolist(), strict=True))
    assert len(rest.items) <= len(full.items)


def test_items_of_ones_own_are_known_as_such_whoever_proposed_them() -> None:
    """So that a list of new items stays one when the generator of old ones is off."""
    full, rest = ranked_without(), ranked_without(generators=("recent",))
    own = {(int(q), int(k)) for q, k, o in zip(full.pool.query, full.keys, full.pool.own, strict=True) if o >= 0}
    still = {(int(q), int(k)): int(o) for q, k, o in zip(rest.pool.query, rest.keys, rest.pool.own, strict=True)}
    assert {pair for pair, row in still.items() if row >= 0} == own & set(still)
    assert any(row >= 0 for row in still.values())


def test_features_are_switched_off_by_name_or_by_group() -> None:
    """They are 0 in every row; all others are bit for bit as before."""
    full, rest = ranked_without(), ranked_without(features=("item", "price_distance"))
    off = [row for row, f in enumerate(FEATURES) if f.group == "item"] + [ROW["price_distance"]]
    on = [row for row in range(len(FEATURES)) if row not in off]
    assert full.x[off].any(axis=1).all()
    assert not rest.x[off].any()
    assert (full.x[on] == rest.x[on]).all()


def test_a_list_to_discover_has_the_best_of_what_the_shopper_has_not_touched() -> None:
    """Against the whole ranking with the shopper's own items taken out."""
    ranked = ranked_without()
    recents, bought = ranked.asked.recents, ranked.asked.bought
    had = {*zip(recents.query, recents.item, strict=True), *zip(bought.query, bought.item, strict=True)}
    for q in range(len(ranked.offsets) - 1):
        expected = [row for row in top(ranked, q, 1000).tolist() if (q, ranked.items[row]) not in had][:20]
        assert discover(ranked, q, 20).tolist() == expected
    assert (ranked.pool.own >= 0).any()


def test_what_was_bought_long_ago_is_not_to_be_discovered() -> None:
    """It is among the purchases still, and no more among the recent items."""
    shop = make_shop()
    at = shop.now_ms + 60_000
    bought, seen = Line("item 1", item_key("item 1")), [Line(f"item {n}", item_key(f"item {n}")) for n in range(40, 80)]
    shop.happen(Event("buyer", "1", "test", "purchase", at, 1, (bought,)))
    for n, line in enumerate(seen, 1):
        shop.happen(Event("buyer", f"view {n}", "test", "view", at + n * 1000, 1 + n, (line,)))
    index = shop.index()
    ranked = rank_queries(shop.queries(["buyer"]), index, prior_model())
    row = ranked.items.tolist().index(index.dense(bought.key))
    assert ranked.pool.own[row] == -1
    assert ranked.pool.bought[row] >= 0
    assert row not in discover(ranked, 0, 1000)
    assert row in top(ranked, 0, 1000)
