"""What would have come of pushing another item of the list."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from load_tests import relevance
from load_tests.relevance import USED, Kept, chosen, told
from load_tests.shop import file
from load_tests.shop.world import Push, World


def made(seed: int, lists: int = 60, size: int = 12) -> list[Kept]:
    """Lists whose relevance hangs on the first feature; a click follows relevance, an opt-out what lacks of it."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(lists):
        x = np.hstack((rng.normal(size=(size, len(USED) + 1)), np.ones((size, 1))))
        liked = 1 / (1 + np.exp(-2 * x[:, 0]))
        found.append(Kept(x, liked, 0.2 * liked, 0.01 * (1.3 - liked)))
    return found


def test_of_more_items_the_best_is_the_more_relevant():
    lists = made(1)
    by = [one.relevance for one in lists]
    of = [chosen(lists, by, among)["relevance"] for among in (1, 3, 5, 12)]
    assert of == sorted(of)
    assert of[0] == pytest.approx(np.mean([one.relevance[0] for one in lists]), abs=1e-4)
    assert of[-1] == pytest.approx(np.mean([one.relevance.max() for one in lists]), abs=1e-4)


def test_what_other_shops_tell_of_relevance_is_used_in_this_one():
    """And nothing of the shop itself: alone it has no fit."""
    found = told("one", {"one": made(1), "two": made(2)})
    ranked, fitted, known = found["ranked"], found["fitted"]["of 5"], found["known"]["of 5"]
    assert ranked["relevance"] < fitted["relevance"] <= known["relevance"]
    assert fitted["relevance"] > 0.95 * known["relevance"]
    assert fitted["leave"] < ranked["leave"]
    assert fitted["click"] > ranked["click"]
    assert "fitted" not in told("one", {"one": made(1)})


def test_a_kept_list_begins_with_what_was_pushed(monkeypatch: pytest.MonkeyPatch):
    """In a small shop, of every push."""
    shop = msgspec.structs.replace(file.read("fashion"), days=2, shoppers=60)
    monkeypatch.setattr(file, "read", lambda _: shop)
    pushed: list[float] = []
    react = World.react

    def watched(world: World, push: Push) -> None:
        pushed.append(world.minds.wanted(push.shopper, push.decided_ms)[push.items[0]])
        react(world, push)

    monkeypatch.setattr(World, "react", watched)
    lists = relevance.run("small", 1, ("core.learning.learn_rate=0.5", "core.policy.score_threshold=0"))
    assert len(pushed) > 10
    assert [one.relevance[0] for one in lists] == pushed
    for one in lists:
        assert one.x.shape == (len(one.relevance), len(USED) + 2)
        assert one.x[:, -2].tolist() == sorted(one.x[:, -2], reverse=True), "best score first"
    assert max(len(one.relevance) for one in lists) == relevance.LIST
