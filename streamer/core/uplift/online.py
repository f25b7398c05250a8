"""Logistic regression learned a row at a time with all its uncertainty: few responses have to go a long way.

Weights are a normal distribution around their priors. A row moves them to the most probable weights given it
and the distribution so far, and the distribution to the normal of that curvature (the online Laplace approximation:
Spiegelhalter, Lauritzen, Networks 20, 1990). A row tells of one direction only, so the most probable weights are found
on a line: the log-odds ``z`` after it solve ``z = z0 + v (y - sigmoid(z))``, where ``v`` is the variance of the
log-odds ``z0`` before. There is no rate to choose, and a rare yes does not overshoot, as a gradient step would.

Between rows the distribution goes a little of the way back to the prior, so that what is learned fades with ``memory``
and what nothing is said about returns there: L2 towards the priors, by exactly the evidence that these stand for.

Only + - * / and ``exactmath``, in index order: equal bits on any machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import sigmoid
from streamer.core.models.logistic import Logistic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ROUNDS: Final = 60
_CLOSE: Final = 1e-12
_ABSURD: Final = 1e6


class OnlineLaplace(Logistic):
    """A logistic model that learns. ``priors`` [F] and ``variances`` [F]: what the weights are before any row.

    There is no intercept: give a feature that is always 1.
    """

    def __init__(
        self, names: Sequence[str], priors: Sequence[float], variances: Sequence[float], *, memory: int
    ) -> None:
        super().__init__(names, priors, 0.0)
        self.priors: Floats = self.weights.copy()
        self._variances: Floats = np.array(variances, dtype=np.float64)
        if self._variances.shape != self.weights.shape or not (self._variances > 0).all():
            raise ValueError(f"{len(self.names)} features need as many variances above 0")
        self.covariance: Floats = np.diag(self._variances)
        self._kept = 1.0 - 1.0 / memory

    def variance(self, x: Floats) -> float:
        """Of the log-odds of a row [F]."""
        return float(_sum(x * self._along(x)))

    def _along(self, x: Floats) -> Floats:
        """The covariance [F, F] times a row [F], summed over the row's features in index order."""
        some = x.nonzero()[0]
        if not len(some):
            return np.zeros(len(x))
        along: Floats = np.cumsum(self.covariance.take(some, axis=0) * x.take(some)[:, None], axis=0)[-1]
        return along

    def learn_row(self, x: Floats, y: float) -> bool:
        """Learn from a row [F] with label 0 or 1. ``False``, and nothing changed, if the result would not be finite."""
        # So written, NaN is refused too.
        if not (np.abs(x) < _ABSURD).all():
            return False
        kept = self._kept
        wider = self._variances * (1.0 - kept * kept)
        weights = self.priors + (self.weights - self.priors) * kept
        along = self._along(x) * (kept * kept) + wider * x
        variance = _sum(x * along)
        residual, curvature = _solve(_sum(weights * x), variance, y)
        weights += along * residual
        gone = curvature / (1.0 + curvature * variance)
        diagonal = self.covariance.diagonal() * (kept * kept) + wider - along * along * gone
        if not ((np.abs(weights) < _ABSURD).all() and (diagonal > 0.0).all()):
            return False
        self.weights = weights
        covariance = self.covariance
        covariance *= kept * kept
        # So multiplied, what mirrors one another stays equal to the bit.
        covariance -= (along[:, None] * along) * gone
        covariance.reshape(-1)[:: len(x) + 1] = diagonal
        return True

    def learn_one(self, x: Mapping[str, float], y: bool) -> None:  # noqa: FBT001 - River's protocol
        """River's protocol: ``learn_row`` of features by name; one that is absent is 0."""
        self.learn_row(np.array([float(x.get(name, 0.0)) for name in self.names]), float(y))

    def memory(self) -> Floats:
        """What learning goes on from, beside the parameters: the covariance's lower triangle, row by row."""
        lower: Floats = self.covariance[np.tril_indices(len(self.names))]
        return lower

    def remember(self, model: Logistic, memory: Floats) -> bool:
        """Go on from a model and the memory of its learning. ``False``, and nothing changed, if they do not fit."""
        size = len(self.names)
        if model.weights.shape != (size,) or memory.shape != (size * (size + 1) // 2,):
            return False
        lower = np.zeros((size, size))
        lower[np.tril_indices(size)] = memory
        if not ((np.abs(memory) < _ABSURD).all() and (lower.diagonal() > 0.0).all() and model.is_finite()):
            return False
        self.weights, self.version = model.weights.copy(), model.version
        self.covariance = np.where(np.tri(size, dtype=np.bool_), lower, lower.T)
        return True


def _solve(z0: float, variance: float, y: float) -> tuple[float, float]:
    """``y - sigmoid(z)`` and the curvature at the ``z`` that solves ``z = z0 + variance (y - sigmoid(z))``.

    The difference of both sides rises with ``z``: Newton's steps, and bisection wherever one leaves the bracket.
    """
    first = variance * (y - sigmoid(z0))
    low, high = (z0, z0 + first) if first > 0 else (z0 + first, z0)
    z = z0
    for _ in range(_ROUNDS):
        p = sigmoid(z)
        off = z - z0 - variance * (y - p)
        if off > 0:
            high = z
        else:
            low = z
        if abs(off) < _CLOSE or high - low < _CLOSE:
            break
        z -= off / (1.0 + variance * p * (1.0 - p))
        if not low < z < high:
            z = 0.5 * (low + high)
    p = sigmoid(z)
    return y - p, p * (1.0 - p)


def _sum(values: Floats) -> float:
    """In index order; ``sum()`` adds pairwise, in an order of numpy's own."""
    return float(np.cumsum(values)[-1]) if len(values) else 0.0
