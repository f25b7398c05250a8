"""Learning a row at a time with all its uncertainty: against what it claims to solve, River's protocol, and decay."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from streamer.core.exactmath import sigmoid
from streamer.core.models.logistic import from_block
from streamer.core.uplift.online import OnlineLaplace

NAMES = ("always", "a", "b", "c")
PRIORS = (-2.0, 0.5, 0.0, 0.0)
VARIANCES = (4.0, 1.0, 1.0, 0.25)
FOR_EVER = 10**15


def model(memory: int = FOR_EVER) -> OnlineLaplace:
    return OnlineLaplace(NAMES, PRIORS, VARIANCES, memory=memory)


def rows(count: int, seed: int = 1, truth: tuple[float, ...] = (-1.0, 1.0, -1.5, 0.5)):
    rng = np.random.default_rng(seed)
    x = np.concatenate((np.ones((count, 1)), rng.normal(size=(count, 3))), axis=1)
    return x, (rng.random(count) < sigmoid(x @ np.array(truth))).astype(float)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_after_one_row_the_weights_are_the_most_probable_ones(label: float) -> None:
    """Where the pull of the prior and that of the row cancel; however improbable the label was."""
    learner, x = model(), np.array([1.0, -3.0, 0.5, 2.0])
    assert learner.learn_row(x, label)
    pull = (learner.weights - np.array(PRIORS)) / np.array(VARIANCES)
    assert_allclose(pull, x * (label - sigmoid(float(x @ learner.weights))), atol=1e-9)
    # And the covariance is the inverse of the curvature there.
    p = sigmoid(float(x @ learner.weights))
    curvature = np.diag(1 / np.array(VARIANCES)) + p * (1 - p) * np.outer(x, x)
    assert_allclose(learner.covariance @ curvature, np.eye(4), atol=1e-9)


def test_a_rare_yes_does_not_overshoot() -> None:
    """One yes where one in a thousand was expected is no reason to expect one each time."""
    learner = OnlineLaplace(["always"], [-7.0], [4.0], memory=FOR_EVER)
    learner.learn_row(np.ones(1), 1.0)
    assert float(sigmoid(learner.weights[0])) < 0.05


def test_many_rows_lead_where_all_of_them_at_once_would() -> None:
    """Against the most probable weights given all rows, found by Newton's method."""
    x, y = rows(3000)
    learner = model()
    for row, label in zip(x, y, strict=True):
        learner.learn_row(row, label)
    weights, precision = np.array(PRIORS), np.diag(1 / np.array(VARIANCES))
    for _ in range(30):
        p = sigmoid(x @ weights)
        gradient = precision @ (weights - np.array(PRIORS)) - x.T @ (y - p)
        weights -= np.linalg.solve(precision + (x.T * (p * (1 - p))) @ x, gradient)
    deviations = np.sqrt(np.diag(learner.covariance))
    assert (np.abs(learner.weights - weights) < 0.5 * deviations).all()
    assert (deviations < 0.1).all()


def test_river_learns_and_predicts_through_the_same_model() -> None:
    """``learn_one`` and ``predict_proba_one`` on dicts are ``learn_row`` and ``predict_proba_many``, to the bit."""
    x, y = rows(50)
    ours, twin = model(), model()
    for row, label in zip(x, y, strict=True):
        named = dict(zip(NAMES, row.tolist(), strict=True))
        assert twin.predict_proba_one(named)[True] == ours.predict_proba_many(row[:, None])[0]
        ours.learn_row(row, label)
        twin.learn_one(named, bool(label))
    assert ours.memory().tobytes() == twin.memory().tobytes()


def test_what_nothing_is_said_about_any_more_returns_to_its_prior() -> None:
    learner = model(memory=200)
    for _ in range(300):
        learner.learn_row(np.array([0.0, 0.0, 1.0, 0.0]), 1.0)
    far, sure = learner.weights[2], learner.covariance[2, 2]
    for _ in range(2000):
        learner.learn_row(np.array([1.0, 0.0, 0.0, 0.0]), 0.0)
    assert far > 1.0
    assert sure < 0.5
    assert abs(learner.weights[2]) < 0.01
    assert learner.covariance[2, 2] == pytest.approx(1.0, abs=0.01)


def test_what_changes_is_learned_anew() -> None:
    learner = model(memory=500)
    for label in [1.0] * 3000 + [0.0] * 1500:
        learner.learn_row(np.array([1.0, 0.0, 0.0, 0.0]), label)
    assert float(sigmoid(learner.weights[0])) < 0.05


def test_a_row_that_is_not_finite_changes_nothing() -> None:
    learner = model()
    x, y = rows(10)
    for row, label in zip(x, y, strict=True):
        learner.learn_row(row, label)
    before = learner.memory().tobytes(), learner.weights.tobytes()
    assert not learner.learn_row(np.array([1.0, np.nan, 0.0, 0.0]), 1.0)
    assert not learner.learn_row(np.array([1.0, 1e200, 0.0, 0.0]), 1.0)
    assert (learner.memory().tobytes(), learner.weights.tobytes()) == before


def test_its_uncertainty_is_that_of_the_log_odds() -> None:
    learner = model()
    assert learner.variance(np.array([1.0, 0.0, 2.0, 2.0])) == 4.0 + 4.0 + 1.0
    assert learner.variance(np.zeros(4)) == 0.0


def test_it_goes_on_from_its_block_and_its_memory_to_the_bit() -> None:
    x, y = rows(200, seed=5)
    one = model(memory=1000)
    for row, label in zip(x[:120], y, strict=False):
        one.learn_row(row, label)
    other = model(memory=1000)
    assert other.remember(from_block(one.block(), NAMES), one.memory())
    for learner in (one, other):
        for row, label in zip(x[120:], y[120:], strict=True):
            learner.learn_row(row, label)
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.covariance.tobytes() == other.covariance.tobytes()
    assert not other.remember(from_block(one.block(), NAMES), one.memory()[:-1])
    assert not other.remember(from_block(one.block(), NAMES), -one.memory())


def test_features_need_as_many_variances() -> None:
    with pytest.raises(ValueError, match="variances"):
        OnlineLaplace(NAMES, PRIORS, (1.0, 1.0, 1.0, 0.0), memory=100)
