"""Logistic regression, learned online: River's protocol on dicts and its numpy twin on lists of rows.

The step is River's ``linear_model.LogisticRegression`` with ``optim.AdaGrad`` (Duchi, Hazan, Singer, JMLR 12, 2011) and
a plain step for the intercept; a test holds the two equal. Two things are added. Parameters begin at *priors* and L2
pulls them back there, not to zero, so that an untaught model already ranks sensibly. And the accumulators may begin
above zero, which is how much evidence the priors are worth.

Everything here is + - * / and square roots, element by element or summed in index order: equal bits on any machine,
and a row's score does not depend on what other rows are scored with it.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import sigmoid
from streamer.core.models.model import (
    BLOCK_VERSION,
    ModelBlock,
    ModelRefused,
    encode_block,
    features_id,
    on_grid,
    read_block,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.model import Floats

KIND: Final = "logistic"
_EPS: Final = 1e-8
_SHORT: Final = 256
_ABSURD: Final = 1e100


class Logistic:
    """A logistic model that only scores. ``weights`` are float64 [F] in the order of ``names``.

    ``kind`` is that of its blocks: how it was learned is another kind's business where the parameters are the same.
    """

    kind = KIND

    def __init__(self, names: Sequence[str], weights: Sequence[float] | Floats, bias: float, version: int = 0) -> None:
        self.names = tuple(names)
        self.weights: Floats = np.array(weights, dtype=np.float64)
        self.bias = float(bias)
        self.version = version
        self.features = features_id(self.names)
        if self.weights.shape != (len(self.names),):
            raise ValueError(f"{len(self.names)} features but weights of shape {self.weights.shape}")

    def scores(self, x: Floats) -> Floats:
        """Log-odds [n] of features [F, n], accumulated feature by feature."""
        if x.shape[1] <= _SHORT:
            # The same additions in the same order, one call instead of F; over long lists it is the slower way.
            terms: Floats = self.weights[:, None] * x
            terms[0] += self.bias
            accumulated: Floats = np.add.accumulate(terms, axis=0, out=terms)[-1]
            return accumulated
        total: Floats = np.full(x.shape[1], self.bias)
        for weight, row in zip(self.weights.tolist(), x, strict=True):
            total += weight * row
        return total

    def predict_proba_many(self, x: Floats) -> Floats:
        """Probabilities [n] of features [F, n]: ``predict_proba_one`` of each column."""
        return sigmoid(self.scores(x))

    def predict_many(self, x: Floats) -> Floats:
        """As ``Model.predict_many``: ``predict_proba_many`` on the grid of 1/GRID."""
        return on_grid(self.predict_proba_many(x))

    def predict_proba_one(self, x: Mapping[str, float]) -> dict[bool, float]:
        """River's protocol: probabilities by class, from features by name; one that is absent is 0."""
        total = self.bias
        for name, weight in zip(self.names, self.weights.tolist(), strict=True):
            total += weight * x.get(name, 0.0)
        p = sigmoid(total)
        return {False: 1.0 - p, True: p}

    def contributions(self, row: Floats) -> Floats:
        """As ``Model.contributions``."""
        return self.weights * row

    def contributions_many(self, x: Floats) -> Floats:
        """As ``Learner.contributions_many``."""
        return self.weights[:, None] * x

    def is_finite(self) -> bool:
        """Whether every parameter is a finite number, and scores of it are."""
        return abs(self.bias) < _ABSURD and bool((np.abs(self.weights) < _ABSURD).all())

    def block(self) -> bytes:
        """The model as published."""
        weights = self.weights.astype("<f8").tobytes()
        return encode_block(ModelBlock(BLOCK_VERSION, self.kind, self.version, self.features, self.bias, weights))


def from_block(value: bytes, names: Sequence[str]) -> Logistic:
    """The model of a block; ``ModelRefused`` if it is of another feature list, not finite or not a logistic one."""
    return read_logistic(value, names, KIND)


def read_logistic(value: bytes, names: Sequence[str], kind: str) -> Logistic:
    """``from_block`` of any kind that scores as a logistic model."""
    block = read_block(value, kind, names, len(names))
    model = Logistic(names, np.frombuffer(block.weights, dtype="<f8"), block.bias, block.version)
    if not model.is_finite():
        raise ModelRefused(f"model version {block.version} has parameters that are not finite")
    return model


def learner(names: Sequence[str], priors: Sequence[float], bias: float, settings: LearningSettings) -> OnlineLogistic:
    """An untaught model that learns as the settings say."""
    return OnlineLogistic(
        names,
        priors,
        bias,
        learning_rate=settings.learning_rate,
        bias_rate=settings.bias_rate,
        l2=settings.l2,
        clip=settings.clip,
        prior_strength=settings.prior_strength,
    )


class OnlineLogistic(Logistic):
    """A logistic model that learns. The trainer owns it.

    ``learning_rate`` is AdaGrad's, ``bias_rate`` the intercept's, ``l2`` pulls weights to where they began, ``clip``
    bounds the weighted residual of each row, and ``prior_strength`` is what the accumulators begin with: the sum of
    squared gradients the priors count for. ``scales`` [F] divide each feature's rate, for features that are
    not of unit size.
    """

    def __init__(
        self,
        names: Sequence[str],
        priors: Sequence[float] | Floats | None = None,
        bias: float = 0.0,
        *,
        learning_rate: float = 0.1,
        bias_rate: float = 0.01,
        l2: float = 0.0,
        clip: float = 1e12,
        prior_strength: float = 0.0,
        scales: Sequence[float] | Floats | None = None,
    ) -> None:
        super().__init__(names, np.zeros(len(names)) if priors is None else priors, bias)
        self.priors: Floats = self.weights.copy()
        self.squares: Floats = np.full(len(self.names), float(prior_strength))
        self.bias_rate, self.l2, self.clip = bias_rate, l2, clip
        self._rates: Floats = np.full(len(self.names), float(learning_rate))
        if scales is not None:
            self._rates /= np.asarray(scales, dtype=np.float64)

    def memory(self) -> Floats:
        """What learning goes on from, beside the parameters: AdaGrad's accumulators [F]."""
        return self.squares

    def remember(self, model: Logistic, memory: Floats) -> bool:
        """Go on from a model and its ``memory()``. ``False``, and nothing changed, if the memory is not one."""
        if memory.shape != self.squares.shape or not (np.isfinite(memory) & (memory >= 0)).all():
            return False
        self.weights, self.bias, self.version = model.weights, model.bias, model.version
        self.squares = memory.copy()
        return True

    def learn_one(self, x: Mapping[str, float], y: bool, w: float = 1.0) -> None:  # noqa: FBT001 - River's protocol
        """River's protocol: one step on one row. ``w`` is how many rows it stands for."""
        residual = max(-self.clip, min(self.clip, (self.predict_proba_one(x)[True] - y) * float(w)))
        gradient = np.array([residual * x.get(name, 0.0) for name in self.names])
        self._step(gradient, residual)

    def learn_many(self, x: Floats, y: Floats, w: Floats, p: Floats | None = None) -> bool:
        """One step on a list of rows: x [F, n], y [n] 0 or 1, w [n] how many rows each stands for.

        The gradient is the sum over rows of ``w * (p - y) * x``, that of the log loss of the whole list. ``p`` saves
        the prediction if the caller has this model's already. ``False``, and nothing changed, if the step would not be
        finite.
        """
        if not np.isfinite(x).all():
            return False
        predicted = self.predict_proba_many(x) if p is None else p
        residuals = np.minimum(np.maximum((predicted - y) * w, -self.clip), self.clip)
        # cumsum adds in index order; sum() adds pairwise, in an order of numpy's own.
        gradient = np.cumsum(x * residuals, axis=1)[:, -1]
        return self._step(gradient, float(np.cumsum(residuals)[-1]))

    def _step(self, gradient: Floats, bias_gradient: float) -> bool:
        if self.l2:
            gradient += self.l2 * (self.weights - self.priors)
        if not np.abs(gradient).max(initial=0.0) < _ABSURD:  # so written, NaN is refused too
            return False
        squares = self.squares + gradient * gradient
        weights = self.weights - self._rates / np.sqrt(squares + _EPS) * gradient
        bias = self.bias - self.bias_rate * bias_gradient
        if not (isfinite(bias) and np.isfinite(weights).all() and np.isfinite(squares).all()):
            return False
        self.weights, self.squares, self.bias = weights, squares, bias
        return True
