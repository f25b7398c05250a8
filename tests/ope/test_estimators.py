"""The formulas, on logs small enough to be worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from streamer.ope import estimators
from streamer.ope.log import Log, LogError, Target, single, unsettled
from streamer.ope.policies import always, popular, threshold
from streamer.ope.policies import random as at_random


def log_of(actions, rewards, propensities, **more) -> Log:
    n = len(actions)
    names = more.pop("names", ("a", "b"))
    defaults: dict[str, Any] = {
        "users": np.arange(n),
        "positions": single(n),
        "context": np.zeros((n, 0)),
        "settled": unsettled(len(names)),
        "scores": {},
    }
    return Log(
        actions=np.array(actions),
        rewards=np.array(rewards, np.float64),
        propensities=np.array(propensities, np.float64),
        names=names,
        **(defaults | more),
    )


def values(log: Log, target: Target, q=None, clip=np.inf) -> dict[str, float]:
    nothing = np.zeros(len(log))
    rows = estimators.columns(
        log, estimators.weights(log, target), estimators.settled(log, target), q or (nothing, nothing), clip
    )
    return dict(zip((*estimators.NAMES, estimators.LOGGED), estimators.values(rows.sum(axis=0)).tolist(), strict=True))


LOG = log_of([0, 0, 1, 1], [1, 0, 1, 0], [0.8, 0.8, 0.2, 0.5])


def test_a_policy_of_one_action_by_hand():
    """Weights of always-b are 0, 0, 5 and 2."""
    found = values(LOG, always(LOG, "b"))
    assert found["ips"] == pytest.approx(5 / 4)
    assert found["snips"] == pytest.approx(5 / 7)
    assert found["logged"] == 0.5


def test_clipping_cuts_the_weight_and_nothing_else():
    """At 3 the weight of 5 is 3 and the one of 2 stays."""
    assert values(LOG, always(LOG, "b"), clip=3.0)["clipped"] == pytest.approx(3 / 4)
    assert values(LOG, always(LOG, "b"), clip=5.0)["clipped"] == values(LOG, always(LOG, "b"))["ips"]


def test_the_doubly_robust_estimate_by_hand():
    """0.3 is expected everywhere, so the mean of 0.3 + w (r - 0.3)."""
    q = (np.full(4, 0.3), np.full(4, 0.3))
    found = values(LOG, always(LOG, "b"), q)
    assert found["dm"] == pytest.approx(0.3)
    assert found["dr"] == pytest.approx(0.3 + (5 * 0.7 - 2 * 0.3) / 4)


def test_self_normalising_does_not_mind_a_constant_and_plain_weighting_does():
    """The defect that Swaminathan and Joachims cure: rewards moved by 10 move their estimate by 10."""
    moved = dataclasses.replace(LOG, rewards=LOG.rewards + 10)
    target = always(LOG, "b")
    assert values(moved, target)["snips"] == pytest.approx(values(LOG, target)["snips"] + 10)
    assert values(moved, target)["ips"] != pytest.approx(values(LOG, target)["ips"] + 10)


def test_the_logging_policy_judged_on_its_own_log_earned_what_it_earned():
    """All weights are 1."""
    even = log_of([0, 1, 0, 1], [1, 0, 0, 0], [0.5] * 4)
    found = values(even, at_random(even))
    assert found["ips"] == found["snips"] == found["logged"] == 0.25


def test_what_earns_a_known_reward_is_paid_without_having_been_tried():
    """A push not sent is not clicked: of a policy that sends half the time, half of what a push earns is known."""
    log = log_of(
        [1, 1, 1, 0],
        [1, 0, 1, 0],
        [1, 1, 1, 1],
        names=("hold", "send"),
        settled=np.array([0.0, np.nan]),
        scores={"score": np.array([0.9, 0.8, 0.1, 0.0])},
        offered=np.array([[0, 1], [0, 1], [0, 1], [1, 0]], np.float64),
    )
    found = values(log, threshold(log, 0.5))
    assert found["ips"] == pytest.approx(1 / 4)
    # Sent twice in four rounds, one click in two.
    assert found["snips"] == pytest.approx((1 / 2) * (2 / 4))
    assert values(log, always(log, "hold"))["ips"] == 0


def test_the_popular_action_of_a_fold_is_not_chosen_by_its_own_rounds():
    """An action that is good in one fold only is never taken there."""
    random = np.random.Generator(np.random.PCG64(11))
    log = log_of(random.integers(0, 2, 900), np.zeros(900), np.full(900, 0.5))
    dealt = popular(log, 1).rows
    favoured = dataclasses.replace(log, rewards=((dealt == 0) & (log.actions == 1)).astype(np.float64))
    table = popular(favoured, 1).table
    assert table[0].argmax() == 0
    assert table[1].argmax() == table[2].argmax() == 1


@pytest.mark.parametrize(
    ("propensity", "reward", "words"),
    [
        (0.0, 1.0, "must lie in"),
        (1.5, 1.0, "must lie in"),
        (1e-200, 1.0, "must lie in"),
        (0.5, np.nan, "must be a number"),
        (0.5, -1e200, r"must be a number below 1e\+15"),
    ],
)
def test_a_log_that_cannot_be_weighed_is_refused_with_the_round(propensity, reward, words):
    """The message names the round, from 1."""
    with pytest.raises(LogError, match=f"round 2.*{words}"):
        log_of([0, 1], [0.0, reward], [0.5, propensity])


@pytest.mark.parametrize("other", [0.4, -0.5, np.nan])
def test_probabilities_that_do_not_sum_to_one_are_refused(other: float):
    """Such a table is no policy."""
    with pytest.raises(LogError, match="sum of 1"):
        Target("half", np.array([[0.5, 0.5], [0.5, other]]), single(4))


def test_slopes_are_the_change_of_an_estimate_when_a_round_counts_a_little_more():
    """A difference quotient says the same, for every estimator."""
    random = np.random.Generator(np.random.PCG64(2))
    rows = random.random((30, 9)) + 0.1
    rows[:, 0] = 1.0
    slopes = estimators.slopes(rows.sum(axis=0))
    step = 1e-6
    for at in (0, 7, 29):
        heavier = rows.sum(axis=0) + step * rows[at]
        quotient = (estimators.values(heavier) - estimators.values(rows.sum(axis=0))) / step
        assert np.allclose(slopes @ rows[at], quotient, atol=1e-4 / len(rows)), at
