"""The factorization machine: all pairs in linear time, its gradient, and what no linear model can learn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from streamer.core.models.fm import Fm, OnlineFm, beginning, from_block
from streamer.core.models.logistic import OnlineLogistic
from streamer.core.models.model import ModelRefused

NAMES = tuple("abcdef")
PRIORS = [0.5, 0.0, -0.5, 1.0, 0.0, 0.0]


def stream(n: int, seed: int = 3):
    """Rows in [-1, 1]; the label hangs on the product of the first two features, and on no one feature."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (len(NAMES), n))
    y = (rng.random(n) < 1 / (1 + np.exp(-6 * x[0] * x[1]))).astype(float)
    return x, y, rng.uniform(0.5, 2, n)


def machine(**changes):
    return OnlineFm(NAMES, PRIORS, -1.0, **({"factors": 4, "clip": 3.0} | changes))


def taught():
    model = machine(factor_rate=0.3)
    x, y, w = stream(400)
    for at in range(0, 400, 20):
        assert model.learn_many(x[:, at : at + 20], y[at : at + 20], w[at : at + 20])
    return model


def loss(model, x, y):
    p = model.predict_proba_many(x)
    return float(-np.log(np.where(y > 0, p, 1 - p)).mean())


def test_its_score_is_the_sum_over_all_pairs():
    model, (x, _, _) = taught(), stream(10)
    for at in range(10):
        pairs = sum(
            float(model.vectors[i] @ model.vectors[j]) * x[i, at] * x[j, at] for i, j in combinations(range(6), 2)
        )
        assert model.scores(x)[at] == pytest.approx(model.bias + model.weights @ x[:, at] + pairs, abs=1e-12)


def test_half_of_each_pair_is_attributed_to_either_side():
    model, (x, _, _) = taught(), stream(1)
    row = x[:, 0]
    expected = [
        model.weights[i] * row[i]
        + sum(0.5 * float(model.vectors[i] @ model.vectors[j]) * row[i] * row[j] for j in range(6) if j != i)
        for i in range(6)
    ]
    assert model.contributions(row) == pytest.approx(expected, abs=1e-12)


def test_a_step_on_a_list_follows_the_gradient_of_the_lists_whole_loss():
    """Checked against finite differences; of the first step AdaGrad's accumulators are its squares."""
    model, (x, y, w) = machine(clip=1e9), stream(40)
    weights, vectors = model.weights.copy(), model.vectors.copy()

    def whole(weights, vectors):
        p = Fm(NAMES, weights, vectors, model.bias).predict_proba_many(x)
        return -(w * np.log(np.where(y > 0, p, 1 - p))).sum()

    def slope(move):
        return (whole(*move(1e-6)) - whole(*move(-1e-6))) / 2e-6

    def unit(shape, at):
        one = np.zeros(shape)
        one[at] = 1.0
        return one

    of_weights = [slope(lambda h, i=i: (weights + h * unit(6, i), vectors)) for i in range(6)]
    of_vectors = [slope(lambda h, at=at: (weights, vectors + h * unit((6, 4), at))) for at in np.ndindex(6, 4)]
    assert model.learn_many(x, y, w)
    assert model.squares == pytest.approx(np.square(of_weights), rel=1e-4)
    assert model.vector_squares.ravel() == pytest.approx(np.square(of_vectors), rel=1e-4, abs=1e-7)
    assert (np.sign(weights - model.weights) == np.sign(of_weights)).all()
    assert (np.sign(vectors - model.vectors).ravel() == np.sign(of_vectors)).all()


def test_it_learns_what_no_linear_model_can():
    x, y, w = stream(6000)
    pairs, linear = OnlineFm(NAMES, factors=4, factor_rate=0.3), OnlineLogistic(NAMES)
    for at in range(0, 6000, 20):
        for model in (pairs, linear):
            model.learn_many(x[:, at : at + 20], y[at : at + 20], w[at : at + 20])
    x, y, _ = stream(2000, seed=8)
    assert loss(linear, x, y) > 0.66
    assert loss(pairs, x, y) < 0.52


def test_vectors_begin_small_and_as_the_names_say_wherever_they_stand():
    assert (beginning(("x", "y"), 3)[::-1] == beginning(("y", "x"), 3)).all()
    found = beginning(tuple(map(str, range(100))), 8)
    assert abs(found).max() <= 0.05
    assert abs(found.mean()) < 0.005
    assert len(np.unique(found)) == 800


def test_a_machine_of_another_number_of_factors_is_served_but_not_learned_on():
    block = taught().block()
    kept = from_block(block, NAMES)
    assert kept.vectors.shape == (6, 4)
    assert not machine(factors=8).remember(kept, taught().memory())


@pytest.mark.parametrize("length", [0, 5, 6, 7, 6 * 66])
def test_a_block_whose_numbers_make_no_vectors_is_refused(length):
    from streamer.core.models.model import decode_block, encode_block

    block = decode_block(taught().block())
    cut = block.__class__(block.format, block.kind, 1, block.features, 0.0, bytes(8 * length))
    with pytest.raises(ModelRefused, match="bytes of weights"):
        from_block(encode_block(cut), NAMES)
