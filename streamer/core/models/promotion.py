"""Whether a challenger is better than the champion: a test that may be looked at after every example.

Evidence is the champion's loss less the challenger's, example by example, on the same rows. The test is an empirical
Bernstein confidence sequence: a bound below the mean of these gains that holds at all times at once, whatever the
gains are distributed like and however they change, as long as they are bounded (Howard, Ramdas, McAuliffe, Sekhon,
"Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of Statistics 49(2), 2021: theorem 4 with the
stitched boundary of equation 10). So it may be asked after every example without being fooled by chance more often than
once: while the challenger is on average no better, it is ever promoted with a chance of at most ``alpha``.

A comparison that has come to nothing within a *horizon* of examples begins anew, so that it is about what is recent;
the r-th round has ``alpha / (r (r + 1))``, which add up to ``alpha``.

Only + - * / and square roots and ``exactmath``: all that read the same log decide alike.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec
import numpy as np

from streamer.core.exactmath import LOG2_E, log2

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.models.model import Floats

_LEAST: Final = 1e-9
"""Log loss stops growing here."""
_STRETCH: Final = 1.4
_ZETA: Final = 3.105472779  # Riemann's zeta of _STRETCH
_K1: Final = (2.0**0.25 + 2.0**-0.25) / sqrt(2.0)
_K2: Final = (sqrt(2.0) + 1.0) / 2.0
_RANGE: Final = 2.0
"""Gains lie in [-1, 1], in units of the measure's bound."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def nats(y: Floats, p: Floats, w: Floats) -> float:
    """The log loss of a whole list: labels [n], probabilities [n], how many rows each stands for [n]."""
    clamped = np.minimum(np.maximum(p, _LEAST), 1.0 - _LEAST)
    bits = log2(np.where(y > 0, clamped, 1.0 - clamped)) * w
    return -float(np.cumsum(bits)[-1]) / LOG2_E


def missed(y: Floats, p: Floats, w: Floats) -> float:
    """One less the reciprocal rank of the first row taken up: 0 if it leads the list. Arguments as of ``nats``.

    A sampled row above it stands for as many as it weighs; one of the same probability counts half.
    """
    taken = y > 0
    if not taken.any():
        return 0.0
    best = p[taken].max()
    above = w * ((p > best) + 0.5 * (p == best)) * ~taken
    return 1.0 - 1.0 / (1.0 + float(np.cumsum(above)[-1]))


class Measure(NamedTuple):
    """What champion and challengers are compared by: the ``loss`` of labels, probabilities and weights of a list.

    ``bound``: what one list may say for or against a model at most; beyond, a gain counts as this. ``whole``: the loss
    that ADWIN takes for 1.
    """

    loss: Callable[[Floats, Floats, Floats], float]
    bound: float
    whole: float


MEASURES: Final = {"rank": Measure(missed, 1.0, 1.0), "loss": Measure(nats, 2.0, 32.0)}


def _ln(x: float) -> float:
    return log2(x) / LOG2_E


def radius(variance: float, alpha: float) -> float:
    """How far a sum of gains may be above the sum of their means, but for a chance of ``alpha``, at any time.

    ``variance``: the sum of squared distances of gains from what was expected of each, at least 1 counts.
    """
    v = max(variance, 1.0)
    level = _STRETCH * _ln(_ln(2.0 * v)) + _ln(_ZETA / alpha) - _STRETCH * _ln(_ln(2.0))
    linear = _K2 * _RANGE * level
    return sqrt(_K1 * _K1 * v * level + linear * linear) + linear


class ComparisonState(msgspec.Struct, array_like=True):
    """What a comparison knows, for a table's row. Sums are in units of the measure's bound."""

    rounds: Count = 1
    count: Count = 0
    total: float = 0.0
    variance: float = 0.0


class Comparison:
    """One challenger against the champion.

    ``alpha``: the chance of being fooled; ``horizon``: examples of a round; ``bound``: the measure's.
    """

    def __init__(self, alpha: float, horizon: int, bound: float, state: ComparisonState | None = None) -> None:
        self.alpha, self.horizon, self.bound = alpha, horizon, bound
        self.state = state or ComparisonState()

    def add(self, gain: float) -> bool:
        """Count what the challenger was better by on one list. Whether it is now known to be better."""
        state = self.state
        if state.count >= self.horizon:
            state.rounds, state.count, state.total, state.variance = state.rounds + 1, 0, 0.0, 0.0
        # A loss that is not a number speaks against the challenger, whoever had it.
        bounded = max(-1.0, min(1.0, gain / self.bound)) if gain == gain else -1.0  # noqa: PLR0124 - NaN
        # What is expected of a gain is the mean of those before it, with one of 0 among them.
        off = bounded - state.total / (state.count + 1)
        state.count += 1
        state.total += bounded
        state.variance += off * off
        return self.lower() > 0.0

    def mean(self) -> float:
        """What the challenger is better by a list, so far in this round; 0 before there are any."""
        return self.bound * self.state.total / max(self.state.count, 1)

    def lower(self) -> float:
        """A bound below that mean that has held at all times; minus the measure's bound before there are any."""
        state = self.state
        if not state.count:
            return -self.bound
        alpha = self.alpha / (state.rounds * (state.rounds + 1))
        return self.bound * (state.total - radius(state.variance, alpha)) / state.count
