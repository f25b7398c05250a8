"""A factorization machine, learned online: a logistic model that also weighs every pair of features.

The weight of a pair is the product of two vectors of ``k`` numbers, one a feature, so that pairs seldom seen together
are known by what either was seen with (Rendle, "Factorization machines", ICDM 2010). All pairs of a row cost k times
its features, by ``sum_i<j (v_i v_j) x_i x_j = 1/2 sum_f ((sum_i v_if x_i)^2 - sum_i v_if^2 x_i^2)``. Steps are
those of AdaGrad (Duchi, Hazan, Singer, JMLR 12, 2011), one a list, of the log loss.

Weights begin at the features' priors, vectors at small numbers that a feature's name determines: at 0 they would never
move. Sums are made in index order, of elementwise products, so that bits are equal on any machine and a row's score
does not depend on what other rows are scored with it.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.events import key64
from streamer.core.exactmath import sigmoid
from streamer.core.models.model import (
    BLOCK_VERSION,
    ModelBlock,
    ModelRefused,
    decode_block,
    encode_block,
    features_id,
    on_grid,
    read_block,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.model import Floats

KIND: Final = "fm"
MAX_FACTORS: Final = 64
_BEGINNING: Final = 0.05
"""Numbers of a vector begin between this and its negative."""
_SHORT: Final = 256
_EPS: Final = 1e-8
_ABSURD: Final = 1e50
"""Half the digits of ``logistic``'s: here parameters are multiplied by each other."""


class Fm:
    """A factorization machine that only scores. ``weights`` are float64 [F], ``vectors`` [F, k]."""

    def __init__(
        self, names: Sequence[str], weights: Sequence[float] | Floats, vectors: Floats, bias: float, version: int = 0
    ) -> None:
        self.names = tuple(names)
        self.weights: Floats = np.array(weights, dtype=np.float64)
        self.vectors: Floats = np.array(vectors, dtype=np.float64)
        self.bias, self.version = float(bias), version
        self.features = features_id(self.names)
        count = len(self.names)
        if self.weights.shape != (count,) or self.vectors.ndim != 2 or len(self.vectors) != count:
            shapes = f"{self.weights.shape} and {self.vectors.shape}"
            raise ValueError(f"{count} features but weights and vectors of shapes {shapes}")

    def _sums(self, x: Floats) -> Floats:
        """[k, n]: for each factor, the sum of features times their numbers."""
        terms = self.vectors[:, :, None] * x[:, None, :]
        summed: Floats = np.add.accumulate(terms, axis=0, out=terms)[-1]
        return summed

    def scores(self, x: Floats) -> Floats:
        """Log-odds [n] of features [F, n]."""
        if x.shape[1] > _SHORT:  # a row's sums are its own, so that pieces give the same bits and stay in the cache
            pieces = [self.scores(x[:, at : at + _SHORT]) for at in range(0, x.shape[1], _SHORT)]
            return np.concatenate(pieces)
        norms = np.add.accumulate(self.vectors * self.vectors, axis=1)[:, -1]
        terms = (self.weights[:, None] - (0.5 * norms)[:, None] * x) * x
        terms[0] += self.bias
        sums = self._sums(x)
        total: Floats = np.add.accumulate(terms, axis=0)[-1] + 0.5 * np.add.accumulate(sums * sums, axis=0)[-1]
        return total

    def predict_proba_many(self, x: Floats) -> Floats:
        """Probabilities [n] of features [F, n]: ``predict_proba_one`` of each column."""
        return sigmoid(self.scores(x))

    def predict_many(self, x: Floats) -> Floats:
        """As ``Model.predict_many``."""
        return on_grid(self.predict_proba_many(x))

    def predict_proba_one(self, x: Mapping[str, float]) -> dict[bool, float]:
        """River's protocol: probabilities by class, from features by name; one that is absent is 0."""
        row = [x.get(name, 0.0) for name in self.names]
        total = self.bias + sum(weight * value for weight, value in zip(self.weights.tolist(), row, strict=True))
        for factor in self.vectors.T.tolist():
            parts = [number * value for number, value in zip(factor, row, strict=True)]
            total += 0.5 * (sum(parts) ** 2 - sum(part * part for part in parts))
        p = sigmoid(total)
        return {False: 1.0 - p, True: p}

    def contributions(self, row: Floats) -> Floats:
        """As ``Model.contributions``: a feature's own part, and half of each pair that it is in.

        With the bias they add up to the log-odds.
        """
        return self.contributions_many(row[:, None])[:, 0]

    def contributions_many(self, x: Floats) -> Floats:
        """As ``Learner.contributions_many``."""
        vectors = self.vectors[:, :, None]
        pairs = (vectors * (self._sums(x) - vectors * x[:, None, :])).sum(axis=1)
        parts: Floats = (self.weights[:, None] + 0.5 * pairs) * x
        return parts

    def is_finite(self) -> bool:
        """Whether every parameter is a finite number of a sane size."""
        return (
            abs(self.bias) < _ABSURD
            and bool((np.abs(self.weights) < _ABSURD).all())
            and bool((np.abs(self.vectors) < _ABSURD).all())
        )

    def block(self) -> bytes:
        """The model as published: its weights, then vector after vector."""
        weights = np.concatenate((self.weights, self.vectors.ravel())).astype("<f8").tobytes()
        return encode_block(ModelBlock(BLOCK_VERSION, KIND, self.version, self.features, self.bias, weights))


def from_block(value: bytes, names: Sequence[str]) -> Fm:
    """The model of a block; ``ModelRefused`` if it is of another feature list, not finite or not of this kind."""
    count = len(names)
    factors = len(decode_block(value).weights) // (8 * count) - 1
    block = read_block(value, KIND, names, count * (1 + max(1, min(factors, MAX_FACTORS))))
    numbers = np.frombuffer(block.weights, dtype="<f8")
    model = Fm(names, numbers[:count], numbers[count:].reshape(count, -1), block.bias, block.version)
    if not model.is_finite():
        raise ModelRefused(f"model version {block.version} has parameters that are not finite")
    return model


def beginning(names: Sequence[str], factors: int) -> Floats:
    """Vectors [F, k] of an untaught machine: a hash of the feature's name and the factor's number, as a number."""
    drawn = [[key64(f"{name}\n{factor}") * 2.0**-63 - 1.0 for factor in range(factors)] for name in names]
    return _BEGINNING * np.array(drawn, dtype=np.float64).reshape(len(names), factors)


def learner(names: Sequence[str], priors: Sequence[float], bias: float, settings: LearningSettings) -> OnlineFm:
    """An untaught machine that learns as the settings say."""
    return OnlineFm(
        names,
        priors,
        bias,
        factors=settings.factors,
        learning_rate=settings.learning_rate,
        factor_rate=settings.factor_rate,
        bias_rate=settings.bias_rate,
        l2=settings.l2,
        clip=settings.clip,
        prior_strength=settings.prior_strength,
    )


class OnlineFm(Fm):
    """A factorization machine that learns. The trainer owns it.

    ``factors`` is k; ``learning_rate`` and ``factor_rate`` are AdaGrad's, of weights and of vectors; ``l2`` pulls
    weights to where they began and vectors to 0; the others are as in ``OnlineLogistic``.
    """

    def __init__(
        self,
        names: Sequence[str],
        priors: Sequence[float] | Floats | None = None,
        bias: float = 0.0,
        *,
        factors: int = 8,
        learning_rate: float = 0.1,
        factor_rate: float = 0.05,
        bias_rate: float = 0.01,
        l2: float = 0.0,
        clip: float = 1e12,
        prior_strength: float = 0.0,
    ) -> None:
        super().__init__(names, np.zeros(len(names)) if priors is None else priors, beginning(names, factors), bias)
        self.priors: Floats = self.weights.copy()
        self.squares: Floats = np.full(len(self.names), float(prior_strength))
        self.vector_squares: Floats = np.full(self.vectors.shape, float(prior_strength))
        self.learning_rate, self.factor_rate, self.bias_rate = learning_rate, factor_rate, bias_rate
        self.l2, self.clip = l2, clip

    def memory(self) -> Floats:
        """What learning goes on from, beside the parameters: AdaGrad's accumulators, of weights and then vectors."""
        return np.concatenate((self.squares, self.vector_squares.ravel()))

    def remember(self, model: Fm, memory: Floats) -> bool:
        """Go on from a model and its ``memory()``. ``False``, and nothing changed, if the memory is not one."""
        size = len(self.names)
        fits = model.vectors.shape == self.vectors.shape and memory.shape == (size + self.vectors.size,)
        if not (fits and (np.isfinite(memory) & (memory >= 0)).all()):
            return False
        self.weights, self.vectors, self.bias = model.weights, model.vectors, model.bias
        self.version = model.version
        self.squares, self.vector_squares = memory[:size].copy(), memory[size:].reshape(self.vectors.shape).copy()
        return True

    def learn_one(self, x: Mapping[str, float], y: bool, w: float = 1.0) -> None:  # noqa: FBT001 - River's protocol
        """River's protocol: one step on one row. ``w`` is how many rows it stands for."""
        row = [x.get(name, 0.0) for name in self.names]
        residual = max(-self.clip, min(self.clip, (self.predict_proba_one(x)[True] - y) * float(w)))
        sums = [sum(v * value for v, value in zip(factor, row, strict=True)) for factor in self.vectors.T.tolist()]
        of_vectors = [
            [residual * value * (total - v * value) for v, total in zip(vector, sums, strict=True)]
            for vector, value in zip(self.vectors.tolist(), row, strict=True)
        ]
        self._step(residual * np.array(row), np.array(of_vectors), residual)

    def learn_many(self, x: Floats, y: Floats, w: Floats, p: Floats | None = None) -> bool:
        """One step on a list of rows: x [F, n], y [n] 0 or 1, w [n] how many rows each stands for.

        ``p`` saves the prediction if the caller has this model's already. ``False``, and nothing changed, if the step
        would not be finite.
        """
        if not np.abs(x).max(initial=0.0) < _ABSURD:  # so written, NaN is refused too
            return False
        predicted = self.predict_proba_many(x) if p is None else p
        residuals = np.minimum(np.maximum((predicted - y) * w, -self.clip), self.clip)
        weighted = x * residuals
        # Along the rows first, so that whole planes are added, in index order.
        terms = weighted.T[:, :, None] * self._sums(x).T[:, None, :]
        with_all = np.add.accumulate(terms, axis=0, out=terms)[-1]
        with_itself = np.cumsum(weighted * x, axis=1)[:, -1:]
        gradient = np.cumsum(weighted, axis=1)[:, -1]
        return self._step(gradient, with_all - self.vectors * with_itself, float(np.cumsum(residuals)[-1]))

    def _step(self, of_weights: Floats, of_vectors: Floats, of_bias: float) -> bool:
        if self.l2:
            of_weights = of_weights + self.l2 * (self.weights - self.priors)
            of_vectors = of_vectors + self.l2 * self.vectors
        squares = self.squares + of_weights * of_weights
        vector_squares = self.vector_squares + of_vectors * of_vectors
        weights = self.weights - self.learning_rate / np.sqrt(squares + _EPS) * of_weights
        vectors = self.vectors - self.factor_rate / np.sqrt(vector_squares + _EPS) * of_vectors
        bias = self.bias - self.bias_rate * of_bias
        # So written, NaN is refused too.
        sound = isfinite(bias) and (np.abs(weights) < _ABSURD).all() and (np.abs(vectors) < _ABSURD).all()
        if not (sound and np.isfinite(squares).all() and np.isfinite(vector_squares).all()):
            return False
        self.weights, self.vectors, self.bias = weights, vectors, bias
        self.squares, self.vector_squares = squares, vector_squares
        return True
