"""New, rising and newcomers' items: who proposes them, to whom, and that lists are those of all items gone through."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.candidates import fresh, newcomers, rising
from streamer.core.events import Event, Line, item_key
from streamer.core.index import ItemIndex
from streamer.core.items.rows import index_row
from streamer.core.items.state import ItemState
from streamer.core.names import NONE
from tests.core.shop import ITEMS, RETRIEVAL, START_MS, Shop

if TYPE_CHECKING:
    from streamer.core.candidates.proposals import Propose

DAY_S = 86_400


def view(user: str, item: str, at_s: int, **said: Any) -> Event:
    return Event(
        user, f"{user}{at_s}", "t", "view", START_MS + at_s * 1000, at_s, (Line(item, item_key(item), **said),)
    )


def shop_of(*events: Event) -> Shop:
    shop = Shop()
    for event in sorted(events, key=lambda e: e.time):
        shop.happen(event)
    return shop


def offered(propose: Propose, shop: Shop, user: str) -> dict[str, float]:
    """The score of each item, that of all rows of it added up, in the order they come in."""
    index = shop.index()
    made = propose(shop.queries([user]).asked(index), index, RETRIEVAL)
    found: dict[str, float] = {}
    for item, score in zip(made.item.tolist(), made.scores[0].tolist(), strict=True):
        found[index.id_of(item)] = found.get(index.id_of(item), 0.0) + score
    return found


def shoes(user: str, item: str, at_s: int) -> Event:
    return view(user, item, at_s, category="shoes")


def test_what_rises_goes_before_what_is_big() -> None:
    """Seen by all for a month, against seen by half as many in the last hour."""
    month = [shoes(f"u{n}", "big", n * DAY_S // 8) for n in range(240)]
    hour = [shoes(f"v{n}", "risen", 30 * DAY_S + n * 60) for n in range(20)]
    also = [shoes(f"w{n}", "big", 30 * DAY_S + n * 60) for n in range(8)]
    found = offered(rising.propose, shop_of(*month, *hour, *also, shoes("me", "mine", 30 * DAY_S + 9000)), "me")
    assert next(iter(found)) == "risen"
    assert "big" not in found or found["risen"] > 1.5 * found["big"]


def test_what_rises_in_the_category_browsed_counts_more_than_elsewhere() -> None:
    both = [(f"u{n}", name, n) for n in range(20) for name in ("shoe", "hat")]
    events = [view(f"{u}{name}", name, n * 10, category=f"{name}s") for u, name, n in both]
    found = offered(rising.propose, shop_of(*events, view("me", "own", 500, category="hats")), "me")
    assert found["hat"] > 2 * found["shoe"] > 0.0


def test_a_new_item_is_offered_to_those_who_look_at_its_like_and_to_nobody_else() -> None:
    said = {"category": "shoes", "brand": "x", "price": 50.0}
    events = [view("u", "new", 10, **said), view("me", "own", 20, **said), view("you", "hat", 30, category="hats")]
    shop = shop_of(*events)
    assert set(offered(fresh.propose, shop, "me")) == {"new", "own"}
    assert set(offered(fresh.propose, shop, "you")) == {"hat"}


def test_what_only_the_catalog_knows_of_is_offered_too_and_what_many_have_seen_is_not() -> None:
    events = [shoes(f"u{n}", "known", n) for n in range(RETRIEVAL.fresh_views)]
    shop = shop_of(*events, shoes("me", "own", 50))
    index = shop.index()
    index.apply_catalog("unseen", b'{"category": "shoes"}')
    made = fresh.propose(shop.queries(["me"]).asked(index), index, RETRIEVAL)
    assert {index.id_of(item) for item in made.item.tolist()} == {"unseen", "own"}


def test_not_all_shoppers_are_offered_the_same_new_items() -> None:
    """All get as many as there is room for, and together they see nearly all."""
    events = [shoes("u", f"new {n}", n * DAY_S // 100) for n in range(40)]
    shop = shop_of(*events, *(shoes(f"me{n}", "own", DAY_S + n) for n in range(20)))
    offers = [set(offered(fresh.propose, shop, f"me{n}")) for n in range(20)]
    assert all(len(offer) == RETRIEVAL.fresh_items for offer in offers)
    assert len(set().union(*offers)) > 30


def test_newcomers_are_offered_what_newcomers_took_at_this_hour_and_others_are_not() -> None:
    """What a regular looks at all the time is no newcomers' item."""
    morning = [view(f"m{n}", "bread", n) for n in range(9)]
    evening = [view(f"e{n}", "wine", DAY_S // 2 + n) for n in range(9)]
    regular = [view("r", f"tool {n}", n * 60) for n in range(30)]
    shop = shop_of(*morning, *evening, *regular, view("me", "own", DAY_S))
    found = offered(newcomers.propose, shop, "me")
    assert next(iter(found)) == "bread"
    assert found["bread"] > 1.5 * found["wine"] > 0.0
    assert set(found) == {"bread", "wine", "own", *(f"tool {n}" for n in range(ITEMS.newcomer_events))}
    assert offered(newcomers.propose, shop, "r") == {}
    assert next(iter(offered(newcomers.propose, shop, "nobody yet"))) == "bread"


@pytest.mark.parametrize("seed", range(3))
def test_lists_are_those_of_all_items_gone_through_whatever_came_in_between(seed: int) -> None:
    """Rows in any order, items forgotten, catalogs changed and items moved to other categories."""
    rng = Random(seed)
    index = ItemIndex(capacity=8)
    states: dict[int, ItemState | None] = {}
    for n in range(3000):
        number = rng.randrange(900)
        key = item_key(f"item {number}")
        draw = rng.random()
        if draw < 0.1:
            states[key] = None
            index.apply_row(key, None)
        elif draw < 0.2:
            index.apply_catalog(f"item {number}", rng.choice([None, b'{"category": "c1"}', b'{"title": "t"}']))
        else:
            words = (rng.choice(["c0", "c1", ""]), "", "")
            state = ItemState(key, f"item {number}", 1, first_ms=START_MS + rng.randrange(400) * 10**7, words=words)
            state.trend = (100, rng.randrange(1, 10**9), 0)
            states[key] = state
            index.apply_row(key, index_row(state, ITEMS))
        if n % 97 == 0 or n == 2999:
            check(index)


def check(index: ItemIndex) -> None:
    """Against all items, sorted."""
    known = [i for i in range(len(index)) if index.known[i]]
    keys, days = index.keys, index.first_day
    seen = sorted((i for i in known if np.isfinite(days[i])), key=lambda i: (-days[i], keys[i]))
    assert index.shelves.newest().tolist() == seen[:512]
    unseen = sorted((i for i in known if not np.isfinite(days[i])), key=lambda i: keys[i])
    assert index.shelves.unseen().tolist() == unseen[:512]
    for category in {int(c) for c in index.category[: len(index)]} - {NONE}:
        mine = [i for i in known if index.category[i] == category and index.trend[i] > -np.inf]
        mine.sort(key=lambda i: (-index.trend[i], keys[i]))
        assert index.shelves.trending(category).tolist() == mine[:32]
