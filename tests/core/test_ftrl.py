"""FTRL-Proximal: the paper's algorithm, around the priors, and sparse by L1."""

from __future__ import annotations

from math import copysign, exp, sqrt

import numpy as np
import pytest

from streamer.core.models.ftrl import OnlineFtrl

NAMES = tuple("abcdef")
PRIORS = [0.5, 0.0, -0.5, 1.0, 0.0, 0.0]


def stream(n: int, seed: int = 3):
    """Rows in [-2, 2]; only the first two features matter."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (len(NAMES), n))
    y = (rng.random(n) < 1 / (1 + np.exp(-(x[0] - 2 * x[1] - 1)))).astype(float)
    return x, y, np.ones(n)


class Algorithm1:
    """Algorithm 1 of the paper, line by line, one coordinate after the other; the bias apart."""

    def __init__(self, alpha: float, beta: float, l1: float, l2: float, bias_rate: float):
        self.alpha, self.beta, self.l1, self.l2, self.bias_rate = alpha, beta, l1, l2, bias_rate
        self.z, self.n, self.bias = [0.0] * len(NAMES), [0.0] * len(NAMES), 0.0

    def weight(self, i: int) -> float:
        if abs(self.z[i]) <= self.l1:
            return 0.0
        return -(self.z[i] - copysign(self.l1, self.z[i])) / ((self.beta + sqrt(self.n[i])) / self.alpha + self.l2)

    def step(self, x, y: float) -> None:
        w = [self.weight(i) for i in range(len(x))]
        p = 1 / (1 + exp(-(self.bias + sum(a * b for a, b in zip(w, x, strict=True)))))
        for i, value in enumerate(x):
            g = (p - y) * value
            sigma = (sqrt(self.n[i] + g * g) - sqrt(self.n[i])) / self.alpha
            self.z[i] += g - sigma * w[i]
            self.n[i] += g * g
        self.bias -= self.bias_rate * (p - y)


def test_it_learns_as_the_papers_algorithm_does():
    x, y, w = stream(400)
    ours = OnlineFtrl(NAMES, learning_rate=0.2, beta=1.0, l1=0.7, l2=0.3, bias_rate=0.02)
    paper = Algorithm1(0.2, 1.0, 0.7, 0.3, 0.02)
    for at in range(400):
        assert ours.learn_many(x[:, [at]], y[[at]], w[[at]])
        paper.step(x[:, at].tolist(), y[at])
        assert ours.weights == pytest.approx([paper.weight(i) for i in range(6)], abs=1e-9)
    assert ours.bias == pytest.approx(paper.bias, abs=1e-9)


def test_l1_keeps_the_prior_where_the_stream_says_nothing_against_it():
    """And lets go of it where it does."""
    x, y, w = stream(3000)
    model = OnlineFtrl(NAMES, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0], l1=120.0, learning_rate=0.3)
    for at in range(0, 3000, 20):
        model.learn_many(x[:, at : at + 20], y[at : at + 20], w[at : at + 20])
    assert model.weights[2:].tolist() == [0.0] * 4
    assert model.weights[0] > 0.2
    assert model.weights[1] < -0.5


def test_it_begins_at_the_priors_and_stays_there_without_evidence():
    x, y, w = stream(5)
    model = OnlineFtrl(NAMES, PRIORS, l1=1e6)
    assert model.learn_many(x, y, w)
    assert model.weights.tolist() == PRIORS
    assert model.squares.any()


def test_l2_holds_weights_nearer_to_their_priors():
    x, y, w = stream(300)
    free, held = OnlineFtrl(NAMES, PRIORS), OnlineFtrl(NAMES, PRIORS, l2=100.0)
    for model in (free, held):
        model.learn_many(x, y, w)
    assert np.abs(held.weights - PRIORS).sum() < 0.7 * np.abs(free.weights - PRIORS).sum()
