"""What somebody could know of a simulated shopper: kinds show in answers and in how shoppers live."""

from __future__ import annotations

from functools import cache

import msgspec
import numpy as np
import pytest

from load_tests.knowable import Kinds, Seen, explained, fitted, half, over_score
from load_tests.priors import carried, fit
from load_tests.shop import file
from load_tests.shop.organic import relevance
from load_tests.shop.world import Push, World
from load_tests.tastes import Watched, relevances
from streamer.core.uplift.features import NAMES

PUSHES = 8


@cache
def watched() -> tuple[World, Kinds, list[dict[str, tuple[float, float]]]]:
    """Each shopper is pushed a few items they do not know, an hour apart."""
    world = World(msgspec.structs.replace(file.read("fashion"), days=6, shoppers=120), 3)
    kinds, told = Kinds(world), []
    for n in range(PUSHES):
        world.step()
        for shopper in range(len(world.people)):
            item = (shopper + 37 * n) % len(world.goods)
            told.append(kinds.react(Push(f"{shopper}-{n}", shopper, (item,), world.now_ms)))
    return world, kinds, told


@pytest.mark.parametrize("name", ["answers", "life"])
def test_after_some_answers_the_true_kind_is_likelier_than_it_was(name: str) -> None:
    world, kinds, _ = watched()
    known = getattr(kinds, name)
    likely = np.exp(known - known.max(axis=1, keepdims=True))
    likely /= likely.sum(axis=1, keepdims=True)
    names = list(world.shop.types)
    of_true = likely[np.arange(len(known)), [names.index(kind) for kind in world.people.kinds]]
    share = np.array([world.shop.types[kind].share for kind in world.people.kinds])
    assert np.log(of_true).mean() > np.log(share).mean() + 0.1


def test_what_is_expected_is_right_in_the_mean_and_goes_with_what_is_true() -> None:
    """Before a push, of its chance of an opt-out: better than the mean, which is all that is known of nobody."""
    _, _, told = watched()
    late = told[len(told) // 2 :]
    known, answers, life = (np.array([one[name][0] for one in late]) for name in ("known", "answers", "life"))
    assert answers.mean() == pytest.approx(known.mean(), rel=0.25)
    assert ((life - known) ** 2).mean() < ((known.mean() - known) ** 2).mean()
    assert np.corrcoef(life, known)[0, 1] > 0.3
    assert np.corrcoef(answers, known)[0, 1] > 0.3


def test_a_half_is_that_of_the_least_and_a_fit_finds_what_there_is() -> None:
    chances = np.array([0.1, 0.3, 0.2, 0.4])
    assert half(chances, chances) == pytest.approx(0.15 / 0.25)
    assert half(chances, -chances) == pytest.approx(0.35 / 0.25)
    rows = np.array([[1.0, x] for x in np.linspace(-2, 2, 400)])
    p = 1 / (1 + np.exp(-(rows @ [-1.0, 2.0])))
    assert fitted(rows, p, np.zeros(2)) == pytest.approx(p, abs=0.02)
    assert explained(rows, rows[:, 1] * 3 - 1) == pytest.approx(1.0)
    assert explained(rows[:, :1], rows[:, 1]) == pytest.approx(0.0)


def test_what_shoppers_looked_at_tells_what_they_like_and_nothing_tells_of_nobody_more() -> None:
    """Relevance inferred from all views goes with the true one, and from no views is as good as nothing."""
    world = World(msgspec.structs.replace(file.read("fashion"), days=8, shoppers=120), 3)
    views = Watched(world)
    while not world.over:
        world.step()
        for action in world.latest:
            views.took(action)
    people = range(len(world.people))
    items = np.tile(np.arange(0, len(world.goods), 20), (len(world.people), 1))
    true = np.take_along_axis(
        relevance(world.people.liking, world.shop.push.steepness, world.shop.push.middle), items, axis=1
    )
    nothing = Watched(world)
    told, untold = (
        relevances(world, [watched.of(who) for who in people], items, 1).mean(axis=0) for watched in (views, nothing)
    )
    assert np.corrcoef(told.ravel(), true.ravel())[0, 1] > 0.7
    assert told.mean() == pytest.approx(true.mean(), rel=0.2)
    of_item = untold.mean(axis=0)
    assert untold.std(axis=0).mean() < 0.5 * told.std(axis=0).mean(), "without views all shoppers are alike"
    assert np.corrcoef(of_item, true.mean(axis=0))[0, 1] > 0.5


def test_of_the_same_share_of_pushes_the_score_is_what_others_are_compared_with() -> None:
    rows = np.zeros((4, len(NAMES)))
    rows[:, NAMES.index("score")] = [4.0, 3.0, 2.0, 1.0]
    leaves = np.array([0.2, 0.2, 0.1, 0.1])
    chances = np.stack([leaves, leaves], axis=1)
    seen = Seen({"known": chances}, leaves, rows)
    assert over_score(seen, leaves) == [0.5, 0.5, 0.5]
    assert over_score(seen, -leaves) == [0.0, 0.0, 0.0]


def test_priors_fitted_in_one_shop_order_the_pushes_of_another() -> None:
    """Where who dismissed leaves sooner, that is found, and carries; what differs by chance stays out of it."""
    rng = np.random.Generator(np.random.PCG64(4))

    def shop() -> Seen:
        rows = rng.normal(0.0, 0.5, (2000, len(NAMES)))
        rows[:, NAMES.index("always")] = 1.0
        chances = 1 / (1 + np.exp(4.5 - 1.5 * rows[:, NAMES.index("dismissed")]))
        return Seen({"known": np.stack([chances, chances], axis=1)}, chances, rows)

    weights = fit([shop()])
    assert weights["dismissed"] == pytest.approx(1.5, abs=0.25)
    assert "hour_00" not in weights
    assert carried([shop(), shop()], weights)[0] > 0.3
    assert abs(carried([shop()], {"price": 1.0})[0]) < 0.15
