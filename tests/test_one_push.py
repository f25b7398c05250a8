"""The worlds in which it is known what a push changes: they are what they say, and the engine pushes in them."""

from __future__ import annotations

import json
from collections import Counter

from load_tests.one_push import START_MS, World, run
from load_tests.shop.file import DAY_MS
from load_tests.shop.world import Push

LATER = START_MS + 30 * DAY_MS


def told(world: World, until: int = LATER) -> Counter[str]:
    return Counter(json.loads(row.value)["type"] for row in world.until(until))


def test_everybody_looks_four_times_a_day_and_half_of_them_buy_often() -> None:
    """Whatever is pushed: nothing is."""
    found = told(World(400, 10, adds=1.0, seed=1, reacts=True))
    assert found["view"] == 400 * 10 * 4
    assert 0.9 < found["purchase"] / (400 * 10 * 0.175) < 1.1
    assert found.keys() == {"view", "purchase"}


def test_a_push_adds_the_purchases_it_is_to_add_and_only_who_reacts_answers_it() -> None:
    """Each by itself, within two hours of it."""
    for adds, reacts in ((0.5, False), (0.0, True)):
        world = World(2, 1, adds=adds, seed=3, reacts=reacts)
        told(world)
        for n in range(1000):
            world.react(Push(f"{n:032x}", 0, (1,), LATER), LATER)
        found = told(world, LATER + DAY_MS)
        assert abs(found.pop("purchase", 0) / 1000 - adds) < 0.05
        assert bool(found) == reacts
        if reacts:
            assert 450 < found["push_dismissed"] < 550
            assert 2 <= found["push_unsubscribed"] <= 25


def test_the_engine_pushes_there_and_tells_what_the_groups_differ_by() -> None:
    """A little world tells little, but of both groups."""
    found = run(World(30, 3, adds=0.05, seed=1, reacts=False), 3, [])
    assert found["responses"] > 50
    assert 0 < found["anyway"] < 0.5
    assert -0.3 < found["groups"] < 0.3
