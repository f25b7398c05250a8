"""What leads to items besides items, and who proposes by it; each on a shop of a few events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streamer.core.candidates import complements
from streamer.core.events import Event, Line, item_key
from streamer.core.items.leads import BASKETS, NO_LEADS, bought_with, leads_of, query_node
from streamer.core.items.state import row_key
from streamer.core.profile import fold
from tests.core.shop import ITEMS, PROFILES, START_MS, Shop
from tests.core.test_neighbours import offered

if TYPE_CHECKING:
    from streamer.core.profile import Profile

HOUR_S = 3600


def event(user: str, kind: str, names: str, at_s: int = 0, query: str = "") -> Event:
    """One item a letter."""
    lines = tuple(Line(name, item_key(name)) for name in names)
    return Event(user, f"{kind}{at_s}", "t", kind, START_MS + at_s * 1000, at_s, lines, query)


def shop_of(*events: Event) -> Shop:
    shop = Shop()
    for one in events:
        shop.happen(one)
    return shop


def together(shop: Shop, name: str) -> dict[str, float]:
    """How often each item was in a basket with one, in baskets of the first second."""
    state = shop.rows.get(row_key(bought_with(item_key(name))))
    names = {item_key(letter): letter for letter in "abcdefghijklmnopqrstuvwxyz"}
    one = shop.rows[row_key(BASKETS)].popularity[1] / round(level_one(shop))
    return {} if state is None else {names[k]: round(amount / one) for k, amount in state.neighbours().items()}


def level_one(shop: Shop) -> float:
    """How many baskets there were, by the lines counted."""
    return shop.rows[row_key(BASKETS)].views + shop.rows[row_key(BASKETS)].others


def folded(*events: Event) -> Profile | None:
    profile = None
    for one in events:
        profile = fold(profile, one, PROFILES)
    return profile


def test_all_lines_of_an_order_are_related_both_ways_whatever_their_order() -> None:
    shop = shop_of(event("u", "purchase", "abcdefgh"))
    assert all(together(shop, name) == dict.fromkeys(set("abcdefgh") - {name}, 1) for name in "abcdefgh")
    assert level_one(shop) == 1


def test_an_order_told_line_by_line_is_one_basket_and_a_later_order_another() -> None:
    orders = [event("u", "purchase", name, at_s) for at_s, name in ((0, "a"), (0, "b"), (60, "c"), (HOUR_S, "d"))]
    shop = shop_of(*orders)
    assert together(shop, "a") == {"b": 1, "c": 1}
    assert together(shop, "d") == {}
    assert level_one(shop) == 2


def test_what_lies_in_the_cart_is_of_the_basket_across_sessions_until_it_is_bought() -> None:
    """Nothing is related twice by being put there again."""
    days = 48 * HOUR_S
    first = [event("u", "cart", "a"), event("u", "cart", "b", days), event("u", "cart", "a", days + 1)]
    shop = shop_of(*first)
    assert together(shop, "a") == {"b": 1}
    assert together(shop, "b") == {"a": 1}
    rest = [event("u", "purchase", "ab", days + 2), event("u", "cart", "c", days + 3)]
    shop = shop_of(*first, *rest)
    assert together(shop, "a") == {"b": 2}
    assert together(shop, "c") == {}


def test_views_are_no_basket() -> None:
    assert (
        leads_of(event("u", "view", "ab"), folded(*(event("u", "view", "c", n) for n in range(9))), ITEMS) == NO_LEADS
    )


def test_a_basket_is_bounded() -> None:
    many = Event("u", "", "t", "purchase", START_MS, 0, tuple(Line(str(n), item_key(str(n))) for n in range(100)))
    bound = ITEMS.basket_items
    nodes = {bought_with(item_key(str(n))) for n in range(100)}
    related = [(node, item) for node, items, _ in leads_of(many, None, ITEMS).pairs if node in nodes for item in items]
    assert len(related) == len(set(related)) == bound * (bound - 1)


def test_what_comes_late_leads_to_nothing() -> None:
    """What lay in the cart at its time, or was searched for, is not remembered."""
    assert leads_of(event("u", "purchase", "ab", 5), folded(event("u", "view", "c", 9)), ITEMS) == NO_LEADS


def test_complements_are_what_is_bought_together_and_not_what_everybody_buys() -> None:
    """The lamp's bulb is in fewer baskets with the lamp than the bag is, and still goes before it."""
    orders = ["lb" + "g"] * 4 + ["lg"] * 2 + ["g" + other for other in "cdefhijkmnop"]
    shop = shop_of(*(event(f"u{n}", "purchase", names, n) for n, names in enumerate(orders)))
    shop.happen(event("me", "cart", "l", 100))
    found = offered(complements.propose, shop, "me")
    assert list(found)[:2] == ["b", "g"]
    assert found["b"][0] > 1.0 > found["g"][0]
    assert found["g"][1] > found["b"][1]


def test_what_is_in_the_cart_counts_more_than_what_was_looked_at() -> None:
    orders = [event(f"u{n}", "purchase", names, n) for n, names in enumerate(("ab", "cd"))]
    found = offered(
        complements.propose, shop_of(*orders, event("me", "cart", "a", 9), event("me", "view", "c", 10)), "me"
    )
    assert found["b"][0] == pytest.approx(1.6 * found["d"][0], rel=0.1)


def test_queries_of_the_same_words_are_one_in_any_order_and_case() -> None:
    assert query_node("Red  shoes", 1000) == query_node("shoes red", 1000) != query_node("red hats", 1000)
    assert len({query_node(f"query {n}", 8) for n in range(200)}) == 8
