"""Exploration: what was chosen, and exactly how probable that was."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.learning_settings import LearningSettings
from streamer.core.policy.explore import chances, draw
from streamer.core.policy.registry import SENT
from streamer.core.policy.verdict import policy_version
from streamer.core.settings import DAY_MS, CoreSettings, PolicySettings
from tests.core.task_shop import T0, Shop, browsing, record

if TYPE_CHECKING:
    from streamer.core.effects import Decision
    from streamer.core.index import ItemIndex

POLICY = PolicySettings(score_threshold=0.0, explore_share=0.5, explore_items=4)
EXPLORING = CoreSettings(policy=POLICY, learning=LearningSettings(learn_rate=0.0))
LATER = T0 + 8 * DAY_MS


@pytest.fixture(scope="module")
def index() -> ItemIndex:
    """What the shop sold in a week before."""
    shop = Shop(EXPLORING).run(browsing(400, users=30, seed=1))
    shop.publish()
    return shop.index


@pytest.mark.slow
@settings(max_examples=150)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=10), st.floats(0, 1))
def test_over_all_draws_each_place_comes_as_often_as_its_propensity_says(weights: list[int], share: float) -> None:
    """Every draw of eleven bits is gone through: nothing is estimated."""
    drawn = [draw(weights, share, u, bits=11) for u in range(1 << 11)]
    counted = Counter(place for place, _ in drawn)
    for place, propensity in drawn:
        assert 0.0 < propensity <= 1.0
        assert counted[place] == propensity * (1 << 11)


@settings(max_examples=100)
@given(st.lists(st.integers(1, 1 << 30), min_size=2, max_size=10), st.floats(0.001, 1), st.integers(0, 2**64 - 1))
def test_propensities_are_the_mixture_they_are_said_to_be(weights: list[int], share: float, u: int) -> None:
    """Of the best with what is left, and of Thompson's choice with the share."""
    place, propensity = draw(weights, share, u)
    expected = share * weights[place] / sum(weights) + (1 - share) * (place == 0)
    assert propensity == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_chances_are_those_of_drawing_scores_and_taking_the_greatest(seed: int) -> None:
    """Thompson's choice as it is usually made, two hundred thousand times."""
    rng = np.random.default_rng(seed)
    p = np.sort(rng.uniform(0.001, 0.4, 6))[::-1]
    sightings = rng.choice([0.0, 10.0, 1000.0], 6)
    weights = np.array(chances(p, sightings))
    scale = np.sqrt(3) / np.pi / np.sqrt(1.0 + sightings * p * (1 - p))
    drawn = np.log(p / (1 - p)) + scale * rng.logistic(size=(200_000, 6))
    found = np.bincount(drawn.argmax(axis=1), minlength=6) / 200_000
    assert np.abs(weights / weights.sum() - found).max() < 0.005


def test_what_is_close_or_unknown_is_tried_more_than_what_is_known_to_be_worse() -> None:
    known = chances(np.array([0.3, 0.1]), np.array([1e6, 1e6]))
    unknown = chances(np.array([0.3, 0.1]), np.array([1e6, 0.0]))
    assert known[1] < unknown[1] / 100
    assert chances(np.array([0.3]), np.array([5.0])) == pytest.approx([1 << 30], rel=1e-4)
    even = chances(np.array([0.3, 0.3]), np.array([5.0, 5.0]))
    assert even[0] == even[1]


def test_the_extremes_of_the_grid_have_finite_chances() -> None:
    assert all(weight >= 1 for weight in chances(np.array([1.0, 0.5, 0.0]), np.array([1e9, 0.0, 2.0**32])))


def decided(index: ItemIndex, core: CoreSettings, ids: range) -> list[tuple[str, float, float]]:
    """First item and propensities of decision and candidate, of one context and many events' hashes."""
    found = []
    for n in ids:
        shop = Shop(core, index)
        shop.run([record("ann", "search", LATER, query="thing", id=f"event {n}")])
        (decision,), (out,) = shop.total.decisions, shop.total.candidates
        assert decision.reason == SENT
        assert decision.items == tuple(item.id for item in out.candidate.items)
        assert decision.score == out.candidate.score == out.candidate.items[0].score
        found.append((decision.items[0], decision.propensity, out.candidate.propensity))
    return found


@pytest.mark.slow
def test_in_one_context_items_come_as_often_as_their_propensities_say_and_every_record_says_the_same(
    index: ItemIndex,
) -> None:
    found = decided(index, EXPLORING, range(600))
    told = {item: propensity for item, propensity, _ in found}
    assert {(item, propensity) for item, propensity, _ in found} == set(told.items())
    assert all(one == other for _, one, other in found)
    assert 1 < len(told) <= POLICY.explore_items
    counted = Counter(item for item, *_ in found)
    for item, propensity in told.items():
        assert abs(counted[item] / 600 - propensity) < 4.5 * (propensity * (1 - propensity) / 600) ** 0.5
    if len(told) == POLICY.explore_items:
        assert sum(told.values()) == pytest.approx(1.0, abs=1e-12)


def test_off_by_default_the_best_is_sent_and_it_was_certain(index: ItemIndex) -> None:
    plain = replace(EXPLORING, policy=PolicySettings(score_threshold=0.0))
    found = decided(index, plain, range(30))
    assert {(one, other) for _, one, other in found} == {(1.0, 1.0)}
    assert len({item for item, *_ in found}) == 1
    # With all explored the best one is as probable as Thompson has it.
    best = found[0][0]
    always = decided(index, replace(EXPLORING, policy=replace(POLICY, explore_share=1.0)), range(200))
    assert {propensity for item, propensity, _ in always if item == best} != {1.0}


def test_all_that_could_have_been_drawn_stands_in_the_decision_with_how_probable_it_was(index: ItemIndex) -> None:
    """So that another way of choosing the item can be judged: the probabilities are those of the draws, sum to 1."""
    found = alternatives(index, EXPLORING, range(200))
    (among,) = {decision.alternatives for decision in found}
    assert 1 < len(among) <= POLICY.explore_items
    assert sum(each.propensity for each in among) == pytest.approx(1.0, abs=1e-12)
    assert [each.score for each in among] == sorted((each.score for each in among), reverse=True)
    by_item = {each.id: each for each in among}
    for decision in found:
        drawn = by_item[decision.items[0]]
        assert (decision.propensity, decision.score) == (drawn.propensity, drawn.score)
    counted = Counter(decision.items[0] for decision in found)
    for item, each in by_item.items():
        assert abs(counted[item] / 200 - each.propensity) < 4.5 * (each.propensity * (1 - each.propensity) / 200) ** 0.5


@pytest.mark.slow
def test_alternatives_are_logged_for_the_share_that_is_set_whatever_was_drawn(index: ItemIndex) -> None:
    """Half of the decisions, of the best item as of the others; none where the share is 0 or nothing is explored."""
    half = replace(EXPLORING, policy=replace(POLICY, log_alternatives=0.5))
    found = alternatives(index, half, range(200))
    best = Counter(decision.items[0] for decision in found).most_common(1)[0][0]
    for told in ([d for d in found if d.items[0] == best], [d for d in found if d.items[0] != best]):
        logged = sum(bool(decision.alternatives) for decision in told)
        assert abs(logged - len(told) / 2) < 4.5 * (len(told) / 4) ** 0.5
    whole = alternatives(index, EXPLORING, range(200))
    assert [d.items for d in found] == [d.items for d in whole]
    for policy in (replace(POLICY, log_alternatives=0.0), replace(POLICY, explore_share=0.0)):
        assert not any(d.alternatives for d in alternatives(index, replace(EXPLORING, policy=policy), range(20)))


def alternatives(index: ItemIndex, core: CoreSettings, ids: range) -> list[Decision]:
    """The decisions of one context and many events' hashes."""
    found = []
    for n in ids:
        shop = Shop(core, index)
        shop.run([record("ann", "search", LATER, query="thing", id=f"event {n}")])
        found += shop.total.decisions
    return found


def test_a_replay_and_any_cut_explore_alike_and_another_seed_does_not(index: ItemIndex) -> None:
    records = [record(f"user {n}", "search", LATER + n, query="thing", id=str(n)) for n in range(60)]
    whole = Shop(EXPLORING, index).run(records)
    assert len({decision.items[0] for decision in whole.total.decisions}) > 1
    assert Shop(EXPLORING, index).run(records, range(1, 60)).result() == whole.result()
    assert Shop(EXPLORING, index).run(records, range(1, 60, 7)).result() == whole.result()
    other = Shop(replace(EXPLORING, seed=2), index).run(records)
    assert [d.items for d in other.total.decisions] != [d.items for d in whole.total.decisions]


def test_a_refusal_was_certain_and_settings_show_in_the_policys_version(index: ItemIndex) -> None:
    shop = Shop(EXPLORING, index).run(browsing(150, users=12, seed=4))
    refused = [decision for decision in shop.total.decisions if decision.reason != SENT]
    assert refused
    assert {decision.propensity for decision in refused} == {1.0}
    assert policy_version(POLICY) != policy_version(replace(POLICY, explore_share=0.0))


@pytest.mark.parametrize(
    "wrong", [{"explore_share": 1.5}, {"explore_items": 0}, {"diversity_bits": -1.0}, {"log_alternatives": -0.1}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"explore|diversity|log_alternatives"):
        PolicySettings(**wrong)  # type: ignore[arg-type]  # fields by name
