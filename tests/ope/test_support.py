"""Logs that cannot tell are refused, in words that say what is lacking and what would do."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from streamer.ope.judge import judge
from streamer.ope.policies import always, threshold
from streamer.ope.policies import random as at_random
from tests.ope.test_estimators import log_of
from tests.ope.truth import world


def greedy(n: int, tried: int):
    """A log of ``a`` alone, and, for ``tried`` rounds, of ``b`` with a propensity of 1 %."""
    actions = np.zeros(n, np.int64)
    actions[:tried] = 1
    rewards = np.arange(n) % 2
    return log_of(actions, rewards, np.where(actions == 1, 0.01, 0.99))


def test_what_was_never_possible_is_named_with_its_share():
    """A quarter of the uniform policy over four actions is on one that was never taken."""
    random = np.random.Generator(np.random.PCG64(11))
    log = log_of(random.integers(0, 3, 3000), random.integers(0, 2, 3000), np.full(3000, 1 / 3), names=tuple("abcd"))
    (found,) = judge(log, [at_random(log)], replicates=20)["policies"]
    assert found["support"]["share"] == pytest.approx(0.75)
    assert "25.0% of what this policy would do was never possible" in found["refused"][0]
    assert "d (25.0%)" in found["refused"][0]
    assert "estimates" not in found


def test_a_handful_of_rounds_that_carry_all_weight_is_too_little():
    """Ten rounds of ten thousand tell as much as ten."""
    log = greedy(10_000, 10)
    (found,) = judge(log, [always(log, "b")], replicates=20)["policies"]
    assert found["support"]["effective_rounds"] == pytest.approx(10)
    assert "tell as much as 10.0 rounds" in found["refused"][0]


def test_the_exploration_asked_for_is_enough_when_it_is_done():
    """A log with the share that the refusal names has the effective rounds it promises."""
    log = greedy(10_000, 10)
    (found,) = judge(log, [always(log, "b")], replicates=20)["policies"]
    share = float(found["refused"][-1].split("% of such decisions")[0].split()[-1]) / 100
    assert share == pytest.approx(2 * 100 / 10_000)
    random = np.random.Generator(np.random.PCG64(11))
    explored = random.random(10_000) < share
    actions = np.where(explored, random.integers(0, 2, 10_000), 0)
    better = log_of(actions, random.random(10_000) < 0.3, np.where(actions == 1, share / 2, 1 - share / 2))
    (answer,) = judge(better, [always(better, "b")], replicates=20)["policies"]
    assert answer["support"]["effective_rounds"] == pytest.approx(100, rel=0.3)


def test_where_even_pure_chance_would_not_do_the_number_of_rounds_is_named():
    """Of 60 rounds with two actions, 100 effective ones cannot come."""
    log = greedy(60, 1)
    (found,) = judge(log, [always(log, "b")], replicates=20)["policies"]
    assert "would need 200 of them" in found["refused"][-1]


def test_many_rounds_with_a_click_or_two_are_no_answer():
    """An interval drawn from no clicks at all would be [0, 0]."""
    random = np.random.Generator(np.random.PCG64(11))
    log = log_of(random.integers(0, 2, 4000), np.zeros(4000), np.full(4000, 0.5))
    (found,) = judge(log, [always(log, "b")], replicates=20)["policies"]
    assert found["support"]["effective_rounds"] > 1900
    assert found["refused"][0].startswith("too few rewards")


def test_a_threshold_below_the_one_in_use_has_no_support_and_one_above_it_has():
    """What was refused for its score was never sent, so nobody knows what it would have earned."""
    random = np.random.Generator(np.random.PCG64(11))
    score = random.random(4000)
    sent = score >= 0.5
    log = log_of(
        sent.astype(np.int64),
        sent & (random.random(4000) < score),
        np.ones(4000),
        names=("hold", "send"),
        settled=np.array([0.0, np.nan]),
        scores={"score": score},
        offered=np.column_stack([~sent, sent]).astype(np.float64),
    )
    higher, lower = judge(log, [threshold(log, 0.7), threshold(log, 0.4)], replicates=100)["policies"]
    assert higher["refused"] == []
    clicks = higher["estimates"]["ips"]
    # Three tenths are sent, and a push is clicked as often as its score says.
    due = float(np.where(score >= 0.7, score, 0.0).mean())
    assert clicks["low"] < due < clicks["high"]
    assert lower["support"]["share"] == pytest.approx(5 / 6, abs=0.02)
    assert "send (" in lower["refused"][0]


def drawn_by(true: float, told: float, n: int = 4000):
    """A log of ``b`` in the share ``true``, that says it was ``told``."""
    random = np.random.Generator(np.random.PCG64(11))
    actions = (random.random(n) < true).astype(np.int64)
    return log_of(actions, random.random(n) < 0.3, np.where(actions == 1, told, 1 - told))


def test_propensities_that_are_not_those_the_log_was_drawn_by_are_refused():
    """The mean weight is far from 1 if the log says 0.5 and it was 0.2, or 0.3 and it was 0.26."""
    for true, told in ((0.2, 0.5), (0.26, 0.3)):
        log = drawn_by(true, told)
        (found,) = judge(log, [always(log, "b")], replicates=20)["policies"]
        assert "the settings or propensities given cannot be those" in found["refused"][0], found
        assert "estimates" not in found


def test_propensities_that_are_off_by_little_are_doubted():
    """In a log so long that 3 % are no chance any more, though they change little."""
    log = drawn_by(0.485, 0.5, 40_000)
    (found,) = judge(log, [always(log, "b")], replicates=20)["policies"]
    assert found["refused"] == []
    assert any("propensities may be wrong" in doubt for doubt in found["doubts"])


def test_a_mean_weight_that_is_off_by_chance_is_neither_refused_nor_doubted():
    """A short log's mean weight may be off by more than a twentieth."""
    off = 0
    for seed in range(20):
        log, target, _ = world(np.random.Generator(np.random.PCG64(seed)), 100)
        (found,) = judge(log, [target], replicates=20)["policies"]
        off += abs(found["support"]["mean_weight"] - 1) > 0.05
        assert not any("weights have a mean" in why for why in (*found["refused"], *found.get("doubts", ())))
    assert off > 5


@pytest.mark.parametrize("sizes", [[1000], [200] * 10, [3000] + [3] * 200])
def test_few_users_are_refused_however_many_rounds_they_have(sizes: list[int]):
    """Rounds of one user hang together, and a user with most of the rounds is as good as alone."""
    random = np.random.Generator(np.random.PCG64(5))
    users = np.repeat(np.arange(len(sizes)), sizes)
    log = log_of(
        random.integers(0, 2, len(users)), random.random(len(users)) < 0.3, np.full(len(users), 0.5), users=users
    )
    report = judge(log, [always(log, "b")], replicates=20)
    (found,) = report["policies"]
    assert found["support"]["effective_rounds"] > 100
    assert found["support"]["effective_users"] < 20
    assert "too few users" in found["refused"][0]
    assert report["logged"]["low"] is None


def test_effective_users_are_those_of_their_weights_by_hand():
    """Three users with weights of 5, 2 + 1 and 0: the square of 8 over 25 + 9."""
    log = log_of([1, 1, 0, 1], [1, 0, 0, 0], [0.2, 0.5, 0.5, 1.0], users=np.array([0, 1, 2, 1]))
    (found,) = judge(log, [always(log, "b")], replicates=20)["policies"]
    assert found["support"]["effective_users"] == pytest.approx(64 / 34)


def test_each_round_a_user_of_its_own_has_as_many_effective_users_as_rounds():
    """So that nothing is refused for it where users are not known."""
    log, target, _ = world(np.random.Generator(np.random.PCG64(11)), 500)
    log = dataclasses.replace(log, users=np.arange(len(log)))
    (found,) = judge(log, [target], replicates=20)["policies"]
    assert found["support"]["effective_users"] == found["support"]["effective_rounds"]


def test_a_good_log_has_an_answer_without_a_doubt():
    """No refusal is made up."""
    log, target, truth = world(np.random.Generator(np.random.PCG64(11)), 2000)
    (found,) = judge(log, [target], replicates=100)["policies"]
    assert found["refused"] == found["doubts"] == []
    assert found["estimates"]["dr"]["low"] < truth < found["estimates"]["dr"]["high"]
    assert found["estimates"]["dm"]["low"] is None
