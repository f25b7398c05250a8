"""Intervals hold as often as they say, over logs of a world whose truth is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from streamer.ope import estimators
from streamer.ope.intervals import KINDS, intervals
from streamer.ope.judge import judge
from streamer.ope.log import Log, single, unsettled
from streamer.ope.model import expectations
from streamer.ope.policies import always
from tests.examples import examples
from tests.ope.truth import spending, value, world

LOGS = examples(240)
JUDGED = [estimators.NAMES.index(name) for name in ("ips", "snips", "clipped", "dr")]


def rows_of(log: Log, target):
    taken, (expected,) = expectations(log, [target], 1)
    w = estimators.weights(log, target)
    return estimators.columns(log, w, estimators.settled(log, target), (taken, expected), len(log) ** 0.5)


@pytest.fixture(scope="module")
def judged():
    """[kinds of interval, logs, 2, estimates], [logs, estimates] and the truth."""
    random = np.random.Generator(np.random.PCG64(5))
    truth = value(random)
    found, values = [], []
    for at in range(LOGS):
        log, target, _ = world(random, 400)
        rows = rows_of(log, target)
        values.append(estimators.values(rows.sum(axis=0)))
        found.append([intervals(rows, log.users, kind, level=0.95, replicates=200, seed=at)[0] for kind in KINDS])
    return np.array(found).swapaxes(0, 1), np.array(values), truth


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_95_percent_intervals_cover_the_truth_in_90_to_99_of_100_logs(judged, kind):
    """Over 240 logs of 1,600 rounds (60 in the fast profile); a share's own standard error is 1.4 points (2.8)."""
    found, _, truth = judged
    low, high = found[KINDS.index(kind)].swapaxes(0, 1)
    covered = ((low <= truth) & (truth <= high)).mean(axis=0)[JUDGED]
    assert ((covered >= 0.90) & (covered <= 0.99)).all(), covered


def test_estimates_that_weigh_are_right_on_average_and_what_was_logged_is_not(judged):
    """Within three standard errors of the mean over the logs; the logging policy earns a quarter less."""
    _, values, truth = judged
    error = values.std(axis=0) / LOGS**0.5
    assert (np.abs(values.mean(axis=0) - truth) < 3 * error + 1e-3)[JUDGED].all()
    assert truth - values[:, -1].mean() > 20 * error[-1]


def test_a_model_of_the_reward_makes_the_doubly_robust_estimate_no_less_exact(judged):
    """Its spread over the logs is below that of plain weighting."""
    _, values, _ = judged
    spread = values.std(axis=0)
    assert spread[estimators.NAMES.index("dr")] < spread[estimators.NAMES.index("ips")]


@pytest.mark.slow
def test_rounds_of_one_user_drawn_one_by_one_would_be_too_sure():
    """Where a user's rounds hang together, an interval that takes them for strangers covers too seldom."""
    random = np.random.Generator(np.random.PCG64(6))
    truth = value(random, rounds=24, own=2.2)
    hits = np.zeros(2)
    for at in range(LOGS):
        log, target, _ = world(random, 80, rounds=24, own=2.2)
        rows = rows_of(log, target)
        for place, users in enumerate((log.users, np.arange(len(log)))):
            low, high = intervals(rows, users, "normal", level=0.95, replicates=0, seed=at)[0][:, JUDGED[1]]
            hits[place] += low <= truth <= high
    assert hits[0] / LOGS > 0.9
    assert hits[1] / LOGS < 0.87


def test_the_kinds_of_interval_agree(judged):
    """Users drawn anew and the delta method differ by less than a tenth of a width, on average."""
    found, _, _ = judged
    width = (found[:, :, 1] - found[:, :, 0]).mean(axis=1)[:, JUDGED]
    bootstrap, percentile, normal = width
    assert (np.abs(percentile / normal - 1) < 0.1).all()
    assert (np.abs(bootstrap / normal - 1) < 0.2).all()


def test_skewed_rewards_are_missed_on_one_side_by_percentiles_and_less_by_the_bootstrap_t():
    """What few shoppers spend, half of them pushed: a log without large sums has a low estimate and a small error."""
    random = np.random.Generator(np.random.PCG64(9))
    below, above = np.zeros(len(KINDS)), np.zeros(len(KINDS))
    for at in range(LOGS):
        log, target, truth = spending(random, 200)
        rows = rows_of(log, target)
        for place, kind in enumerate(KINDS):
            low, high = intervals(rows, log.users, kind, level=0.95, replicates=200, seed=at)[0][:, JUDGED[0]]
            below[place] += high < truth
            above[place] += low > truth
    bootstrap, percentile, normal = below / LOGS
    assert bootstrap < min(percentile, normal) - 0.02, below
    assert min(percentile, normal) > 0.06 > above.max() / LOGS, (below, above)
    assert 0.90 <= 1 - (below + above)[0] / LOGS <= 0.99


def test_an_interval_that_is_planted_too_narrow_is_seen_to_cover_too_seldom(judged):
    """Of two thirds of the width: the test above can tell."""
    found, _, truth = judged
    low, high = found[KINDS.index("bootstrap")].swapaxes(0, 1)
    middle, half = (low + high) / 2, (high - low) / 2
    covered = (np.abs(truth - middle) <= half * 2 / 3).mean(axis=0)[JUDGED]
    assert (covered < 0.88).all(), covered


def test_the_same_seed_gives_the_same_interval_to_the_bit():
    """Draws come from a generator that is seeded, and from nothing else."""
    log, target, _ = world(np.random.Generator(np.random.PCG64(3)), 50)
    rows = rows_of(log, target)
    one, two, other = (
        intervals(rows, log.users, "bootstrap", level=0.95, replicates=50, seed=seed) for seed in (1, 1, 2)
    )
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()


def test_the_order_of_rounds_does_not_matter_to_the_estimate():
    """A log is a set of rounds."""
    log, target, _ = world(np.random.Generator(np.random.PCG64(3)), 50)
    order = np.random.Generator(np.random.PCG64(4)).permutation(len(log))
    shuffled = dataclasses.replace(
        log,
        **{name: getattr(log, name)[order] for name in ("users", "actions", "rewards", "propensities", "context")},
    )
    moved = dataclasses.replace(target, rows=target.rows[order])
    before = estimators.values(rows_of(log, target).sum(axis=0))
    after = estimators.values(rows_of(shuffled, moved).sum(axis=0))
    assert np.allclose(before, after, rtol=1e-9, equal_nan=True)


def test_a_log_is_not_refused_for_being_less_lucky_than_others():
    """Where eight rewards are to be expected, the estimates of the logs that are answered are right on average.

    Were ten asked for, those of the few that had ten would lie more than a standard deviation above the truth.
    """
    random = np.random.Generator(np.random.PCG64(8))
    found = []
    for _ in range(LOGS):
        sent = random.random(1600) < 0.5
        log = Log(
            users=np.arange(800).repeat(2),
            actions=sent.astype(np.int64),
            rewards=(sent & (random.random(1600) < 0.01)).astype(np.float64),
            propensities=np.full(1600, 0.5),
            positions=single(1600),
            context=np.zeros((1600, 0)),
            names=("hold", "send"),
            settled=unsettled(2),
            scores={},
        )
        (answer,) = judge(log, [always(log, "send")], kind="normal")["policies"]
        if not answer["refused"]:
            found.append(answer["estimates"]["ips"]["value"])
    assert len(found) > 0.8 * LOGS
    assert abs(np.mean(found) - 0.01) < 0.4 * 0.01 / 8**0.5
