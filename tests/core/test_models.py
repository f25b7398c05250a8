"""The logistic model: its two faces agree, and both agree with River's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, optim

from streamer.core.models.logistic import Logistic, OnlineLogistic, from_block
from streamer.core.models.model import GRID, ModelRefused, ServedModel, decode_block, encode_block

NAMES = ("a", "b", "c", "d")


def stream(n: int, seed: int = 3):
    """Rows of features in [-2, 2] with labels drawn from a logistic truth, and weights."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (len(NAMES), n))
    y = (rng.random(n) < 1 / (1 + np.exp(-(x[0] - 2 * x[1] - 1)))).astype(float)
    return x, y, rng.uniform(0.5, 6, n)


def as_dict(column):
    return dict(zip(NAMES, column.tolist(), strict=True))


def learner(**changes):
    settings = {"learning_rate": 0.1, "bias_rate": 0.02, "l2": 0.01, "clip": 3.0, "prior_strength": 0.5}
    return OnlineLogistic(NAMES, [0.5, 0.0, -0.5, 1.0], -1.0, **(settings | changes))


def test_learning_row_by_row_from_dicts_and_from_arrays_gives_the_same_model():
    x, y, w = stream(500)
    one, many = learner(), learner()
    for i in range(len(y)):
        one.learn_one(as_dict(x[:, i]), bool(y[i]), w[i])
        assert many.learn_many(x[:, [i]], y[[i]], w[[i]])
        assert one.predict_proba_one(as_dict(x[:, i]))[True] == pytest.approx(
            many.predict_proba_many(x[:, [i]])[0], abs=1e-9
        )
    assert one.weights == pytest.approx(many.weights, abs=1e-9)
    assert one.bias == pytest.approx(many.bias, abs=1e-9)


def test_learning_equals_rivers_logistic_regression_with_the_same_optimiser():
    x, y, w = stream(500)
    ours = OnlineLogistic(NAMES, learning_rate=0.1, bias_rate=0.02, l2=0.01, clip=3.0)
    rivers = linear_model.LogisticRegression(optim.AdaGrad(0.1), l2=0.01, intercept_lr=0.02, clip_gradient=3.0)
    for i in range(len(y)):
        row = as_dict(x[:, i])
        assert ours.predict_proba_one(row)[True] == pytest.approx(rivers.predict_proba_one(row)[True], abs=1e-9)
        ours.learn_one(row, bool(y[i]), w[i])
        rivers.learn_one(row, bool(y[i]), w=w[i])
    assert ours.weights == pytest.approx([rivers.weights[n] for n in NAMES], abs=1e-9)
    assert ours.bias == pytest.approx(rivers.intercept, abs=1e-9)


def test_a_step_on_a_list_follows_the_gradient_of_the_lists_whole_loss():
    """Checked against finite differences of the weighted log loss."""
    x, y, w = stream(40)
    model = OnlineLogistic(NAMES, [0.1, 0.2, 0.3, 0.4], -0.2, learning_rate=1.0, clip=1e9)

    def loss(weights):
        p = Logistic(NAMES, weights, model.bias).predict_proba_many(x)
        return -(w * (y * np.log(p) + (1 - y) * np.log(1 - p))).sum()

    before = model.weights.copy()
    steps = np.eye(4) * 1e-6
    gradient = np.array([(loss(before + s) - loss(before - s)) / 2e-6 for s in steps])
    model.learn_many(x, y, w)
    assert model.squares == pytest.approx(gradient**2, rel=1e-5)
    assert model.weights == pytest.approx(before - np.sign(gradient), rel=1e-6)


def test_it_learns():
    x, y, _ = stream(4000)
    model = OnlineLogistic(NAMES, learning_rate=0.2, bias_rate=0.01)
    for i in range(0, 4000, 20):
        cut = slice(i, i + 20)
        model.learn_many(x[:, cut], y[cut], np.ones(20))
    assert model.weights == pytest.approx([1, -2, 0, 0], abs=0.35)


@given(st.data())
def test_a_rows_score_does_not_depend_on_the_rows_beside_it(data):
    x, _, _ = stream(50)
    rows = data.draw(st.lists(st.integers(0, 49), min_size=1, max_size=50))
    model = learner()
    assert model.predict_many(x[:, rows]).tolist() == model.predict_many(x)[rows].tolist()


def test_a_long_list_is_scored_bit_for_bit_as_its_pieces():
    x, _, _ = stream(2000)
    model = learner()
    pieces = [model.scores(x[:, at : at + 100]) for at in range(0, 2000, 100)]
    assert model.scores(x).tolist() == np.concatenate(pieces).tolist()
    assert model.scores(x[:, :1]).tolist() == model.scores(x)[:1].tolist()


def test_probabilities_for_ranking_lie_on_the_grid():
    x, _, _ = stream(50)
    model = learner()
    on_grid = model.predict_many(x) * GRID
    assert on_grid.tolist() == np.rint(on_grid).tolist()
    assert model.predict_many(x) == pytest.approx(model.predict_proba_many(x), abs=0.5 / GRID)


def test_scoring_leaves_the_models_bytes_as_they_were():
    x, _, _ = stream(50)
    model = learner()
    before = model.block()
    model.predict_many(x)
    model.predict_proba_one(as_dict(x[:, 0]))
    model.contributions(x[:, 0])
    assert model.block() == before


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e308])
def test_a_step_that_is_not_finite_is_not_taken(poison):
    x, y, w = stream(5)
    model = learner()
    before = model.block()
    x[2, 3] = poison
    assert not model.learn_many(x, y, w)
    assert model.block() == before


def test_contributions_and_bias_add_up_to_the_score():
    x, _, _ = stream(5)
    model = learner()
    assert model.contributions(x[:, 2]).sum() + model.bias == pytest.approx(model.scores(x)[2])


def test_a_block_carries_the_model_to_another_process_bit_for_bit():
    x, y, w = stream(50)
    model = learner()
    model.learn_many(x, y, w)
    model.version = 7
    copy = from_block(model.block(), NAMES)
    assert copy.version == 7
    assert copy.predict_many(x).tolist() == model.predict_many(x).tolist()


def not_finite(block):
    return block.__class__(block.format, block.kind, block.version, block.features, float("nan"), block.weights)


def of_a_later_format(block):
    return block.__class__(99, block.kind, block.version, block.features, block.bias, block.weights)


def truncated(block):
    return block.__class__(block.format, block.kind, block.version, block.features, block.bias, block.weights[:-8])


@pytest.mark.parametrize("damage", [not_finite, of_a_later_format, truncated])
def test_a_damaged_block_is_refused(damage):
    with pytest.raises(ModelRefused):
        from_block(encode_block(damage(decode_block(learner().block()))), NAMES)


def test_a_block_of_another_feature_list_is_refused_by_name():
    with pytest.raises(ModelRefused, match="another list of features"):
        from_block(learner().block(), ("a", "b", "d", "c"))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_block_are_refused(value):
    with pytest.raises(ModelRefused):
        from_block(value, NAMES)


def served():
    return ServedModel(Logistic(NAMES, [1, 0, 0, 0], -3.0), lambda _, value: from_block(value, NAMES))


def test_the_replica_serves_the_newest_block():
    x, _, _ = stream(5)
    replica, model = served(), learner()
    assert replica.version == 0
    model.version = 4
    assert replica.apply("champion/logistic", model.block())
    assert replica.version == 4
    assert replica.predict_many(x).tolist() == model.predict_many(x).tolist()


def test_the_replica_falls_back_to_the_priors_and_says_why_when_a_block_is_refused():
    replica = served()
    prior = replica.predict_many(np.ones((4, 1))).tolist()
    replica.apply("champion/logistic", learner().block())
    assert not replica.apply("champion/logistic", b"nonsense")
    assert "unreadable" in replica.problem
    assert replica.predict_many(np.ones((4, 1))).tolist() == prior


def test_what_is_no_block_of_the_served_model_is_passed_over():
    replica, model = served(), learner()
    model.version = 4
    replica.apply("champion/logistic", model.block())
    assert replica.apply("metrics/champion", b"{}")
    assert replica.version == 4
    assert replica.problem == ""


def test_a_tombstone_brings_the_priors_back():
    replica, model = served(), learner()
    model.version = 4
    replica.apply("champion/logistic", model.block())
    assert replica.apply("champion/logistic", None)
    assert replica.version == 0
