"""What the families that read others' sessions, and what is said of items, are for; each on a shop of a few events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.candidates import content, following, replenishment, sessions
from streamer.core.candidates.best import ONE, best, summed
from streamer.core.events import Event, Line, item_key
from tests.core.shop import RETRIEVAL, START_MS, Shop

if TYPE_CHECKING:
    from streamer.core.candidates.proposals import Propose

DAY_S = 86_400


def shop_of(*visits: tuple[str, str], apart_s: int = 10, **line: Any) -> Shop:
    """Shoppers' visits one after another: each item, named by one letter, a moment later than the one before.

    Letters in parentheses are of one moment. ``line`` gives what is said of an item.
    """
    shop = Shop()
    at = 0
    for user, names in visits:
        moments = names.replace(")", "(").split("(")
        for n, together in enumerate(moments):
            for of_moment in [together] if n % 2 else together:
                lines = tuple(Line(name, item_key(name), **line.get(name, {})) for name in of_moment)
                shop.happen(Event(user, str(at), "t", "view", START_MS + at * 1000, at, lines))
                at += apart_s
    return shop


def offered(propose: Propose, shop: Shop, user: str) -> dict[str, list[float]]:
    """By item, best first: the scores."""
    index = shop.index()
    made = propose(shop.queries([user]).asked(index), index, RETRIEVAL)
    return {index.id_of(item): [float(s[n]) for s in made.scores] for n, item in enumerate(made.item.tolist())}


def test_sessions_nearer_to_the_shopper_s_own_have_the_greater_vote() -> None:
    """One shares both items, the other the older one alone; the shares of all votes add up to the items' number."""
    shop = shop_of(("far", "ax"), ("near", "aby"), ("me", "ab"))
    found = offered(sessions.propose, shop, "me")
    assert found["y"][0] > found["x"][0] > 0.0
    assert found["a"][0] == pytest.approx(1.0)
    assert found["x"][0] + found["y"][0] == pytest.approx(1.0)


def test_the_newest_item_weighs_more_than_the_one_before() -> None:
    found = offered(sessions.propose, shop_of(("old", "ax"), ("new", "by"), ("me", "ab")), "me")
    assert min(found["b"], found["y"]) > max(found["a"], found["x"])
    assert set(list(found)[:2]) == {"b", "y"}


def test_lines_of_one_order_weigh_the_same() -> None:
    found = offered(sessions.propose, shop_of(("u", "ax"), ("v", "by"), ("me", "(ab)")), "me")
    assert found["x"] == found["y"]


@pytest.mark.parametrize("propose", [sessions.propose, following.propose])
def test_a_shopper_s_own_sessions_are_not_asked(propose: Propose) -> None:
    """Of today or of before."""
    assert offered(propose, shop_of(("me", "ab"), ("you", "cd"), ("me", "ab"), apart_s=1000), "me") == {}


def test_what_came_next_goes_before_what_came_later_and_what_came_before() -> None:
    found = offered(following.propose, shop_of(("u", "pabc"), ("me", "a")), "me")
    assert list(found) == ["b", "c", "p"]
    assert found["b"] == [0.5, 0.0]
    assert found["c"] == [0.25, 0.0]
    assert found["p"] == [0.0, 0.5]


def test_nothing_in_one_order_came_next() -> None:
    assert list(offered(following.propose, shop_of(("u", "(abc)d"), ("me", "a")), "me")) == ["d"]


def test_a_transition_seen_once_is_no_certainty() -> None:
    shop = shop_of(("u", "ab"), ("v", "ab"), ("w", "ab"), ("me", "a"))
    assert offered(following.propose, shop, "me")["b"] == [0.75, 0.0]


def test_content_finds_what_nobody_touched_together() -> None:
    """The brand's other shoe, and that of the price; not the dear one of another brand, nor what is no shoe."""
    shoe = {"category": "shoes"}
    said: dict[str, Any] = {
        "a": shoe | {"brand": "x", "price": 50.0},
        "b": shoe | {"brand": "x", "price": 500.0},
        "c": shoe | {"brand": "y", "price": 51.0},
        "d": shoe | {"brand": "y", "price": 500.0},
        "e": {"category": "hats", "brand": "x", "price": 50.0},
    }
    shop = shop_of(*((str(n), name) for n, name in enumerate("bcde")), ("me", "a"), **said)
    assert set(offered(content.propose, shop, "me")) == {"a", "b", "c"}


def test_what_was_bought_before_is_offered_by_the_shopper_s_own_rhythm() -> None:
    """Three visits a day apart: what was bought two gaps ago scores a third."""
    shop = Shop()
    for n, name in enumerate("abc"):
        event = Event("me", name, "t", "purchase", START_MS + n * DAY_S * 1000, n, (Line(name, item_key(name)),))
        shop.happen(event)
    found = offered(replenishment.propose, shop, "me")
    assert list(found) == ["c", "b", "a"]
    assert [score for (score,) in found.values()] == [1.0, 0.5, pytest.approx(1 / 3)]


@pytest.mark.parametrize("seed", range(5))
def test_sums_and_the_best_are_those_of_dicts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, thing = rng.integers(0, 5, 300), rng.integers(0, 40, 300)
    amount, keys = rng.integers(0, 3 * ONE, 300), rng.permutation(40).astype(np.uint64)
    expected: dict[tuple[int, int], int] = {}
    for q, t, a in zip(query.tolist(), thing.tolist(), amount.tolist(), strict=True):
        expected[q, t] = expected.get((q, t), 0) + a
    of_query, of_thing, sums = summed(query, thing, amount, 40)
    assert dict(zip(zip(of_query.tolist(), of_thing.tolist(), strict=True), sums.tolist(), strict=True)) == expected
    chosen = best(of_query, sums, keys[of_thing], 7)
    ranking = sorted(expected, key=lambda place: (place[0], -expected[place], keys[place[1]]))
    wanted = [place for n, place in enumerate(ranking) if sum(p[0] == place[0] for p in ranking[:n]) < 7]
    assert list(zip(of_query[chosen].tolist(), of_thing[chosen].tolist(), strict=True)) == wanted


def test_no_rows_have_no_sums() -> None:
    none = np.zeros(0, np.int64)
    assert [len(column) for column in summed(none, none, none, 9)] == [0, 0, 0]
    assert len(best(none, none, np.zeros(0, np.uint64), 3)) == 0
