"""Logistic regression learned by FTRL-Proximal: sparse where L1 says so, however small the steps.

Algorithm 1 of McMahan et al., "Ad click prediction: a view from the trenches" (KDD 2013): each weight is the closed
solution of a problem that holds all gradients so far, L1 and L2, instead of being moved a step at a time. Here it is
the weight's *distance from its prior* that is solved for, so that L1 keeps the prior where the stream says nothing
against it, and an untaught model ranks by the priors. A list is one step, by the sum of its rows' gradients.

It scores as ``logistic`` does, and what is said there of equal bits holds here.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.models.logistic import Logistic, OnlineLogistic, read_logistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.model import Floats

KIND: Final = "ftrl"
_ABSURD: Final = 1e100


def from_block(value: bytes, names: Sequence[str]) -> Logistic:
    """The model of a block; ``ModelRefused`` if it is of another feature list, not finite or not of this kind."""
    return read_logistic(value, names, KIND)


def learner(names: Sequence[str], priors: Sequence[float], bias: float, settings: LearningSettings) -> OnlineFtrl:
    """An untaught model that learns as the settings say."""
    return OnlineFtrl(
        names,
        priors,
        bias,
        learning_rate=settings.learning_rate,
        bias_rate=settings.bias_rate,
        l1=settings.l1,
        l2=settings.l2,
        clip=settings.clip,
        prior_strength=settings.prior_strength,
    )


class OnlineFtrl(OnlineLogistic):
    """A logistic model that learns by FTRL-Proximal.

    ``learning_rate`` and ``beta`` are the paper's alpha and beta; ``l1`` and ``l2`` hold weights at their priors;
    ``bias_rate``, ``clip`` and ``prior_strength`` are as in ``OnlineLogistic``: the intercept takes plain steps.
    """

    kind = KIND

    def __init__(
        self,
        names: Sequence[str],
        priors: Sequence[float] | Floats | None = None,
        bias: float = 0.0,
        *,
        learning_rate: float = 0.1,
        beta: float = 1.0,
        bias_rate: float = 0.01,
        l1: float = 0.0,
        l2: float = 0.0,
        clip: float = 1e12,
        prior_strength: float = 0.0,
    ) -> None:
        super().__init__(names, priors, bias, bias_rate=bias_rate, l2=l2, clip=clip, prior_strength=prior_strength)
        self.alpha, self.beta, self.l1 = learning_rate, beta, l1
        self.pulls: Floats = np.zeros(len(self.names))
        """z of the paper [F]: gradients so far, less what the weights of then took of them."""

    def memory(self) -> Floats:
        """What learning goes on from, beside the parameters: sums of squared gradients [F], then pulls [F]."""
        return np.concatenate((self.squares, self.pulls))

    def remember(self, model: Logistic, memory: Floats) -> bool:
        """As ``OnlineLogistic.remember``."""
        size = len(self.names)
        if memory.shape != (2 * size,) or not np.isfinite(memory).all():
            return False
        if not super().remember(model, memory[:size]):
            return False
        self.pulls = memory[size:].copy()
        return True

    def _step(self, gradient: Floats, bias_gradient: float) -> bool:
        if not np.abs(gradient).max(initial=0.0) < _ABSURD:  # so written, NaN is refused too
            return False
        squares = self.squares + gradient * gradient
        root = np.sqrt(squares)
        pulls = self.pulls + (gradient - (root - np.sqrt(self.squares)) / self.alpha * (self.weights - self.priors))
        # Within l1 of 0 a pull moves nothing; beyond, what is left of it does.
        beyond = np.maximum(np.abs(pulls) - self.l1, 0.0)
        weights = self.priors - np.copysign(beyond, pulls) / ((self.beta + root) / self.alpha + self.l2)
        bias = self.bias - self.bias_rate * bias_gradient
        if not (isfinite(bias) and np.isfinite(weights).all() and (np.abs(pulls) < _ABSURD).all()):
            return False
        self.weights, self.squares, self.pulls, self.bias = weights, squares, pulls, bias
        return True
