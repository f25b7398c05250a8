"""Prequential metrics of a probability: log loss, ROC AUC, calibration; weighted, vectorised, in constant memory.

AUC and calibration come from a histogram over fixed bins of log-odds, 16 to a unit from -16 to 16. AUC counts
pairs within a bin as ties, so that it is exact up to pairs closer than 1/16 in log-odds. With ``memory`` set, older
examples fade (prequential fading factors: Gama, Sebastião, Rodrigues, "On evaluating stream learning algorithms",
Machine Learning 90, 2013), so that the figures tell of about the last ``memory`` updates.

Metrics are in no digest, so that numpy's own logarithm will do here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np

from streamer.core.exactmath import sigmoid

if TYPE_CHECKING:
    from streamer.core.models.model import Floats

_EDGES: Final[Floats] = sigmoid(np.arange(-16.0, 16.0625, 0.0625))
BINS: Final = len(_EDGES) + 1
_CLAMP: Final = 1e-15
"""Where log loss stops growing, as in River."""
_RESCALE: Final = 1e12
_ABSURD: Final = 1e30


class CalibrationBin(msgspec.Struct, frozen=True):
    """Predictions of one range: how many (weighted), their mean, and the share that came true."""

    weight: float
    predicted: float
    observed: float


class MetricsState(msgspec.Struct, array_like=True):
    """The accumulators, for a table's row. ``positive``, ``negative``, ``predicted`` are float64 [BINS]."""

    updates: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    scale: float
    loss: float
    weight: float
    positive: bytes
    negative: bytes
    predicted: bytes


class BinaryMetrics:
    """Accumulates (label, probability, weight) and tells how good the probabilities were."""

    def __init__(self, memory: int = 0) -> None:
        """``memory``: about how many of the newest updates count; 0 for all alike."""
        # What is new grows instead of all that is old fading: one multiplication an update, not one a bin.
        self._growth = 1.0 / (1.0 - 1.0 / memory) if memory > 1 else 1.0
        self._scale = 1.0
        self.updates = 0
        self._loss = self._weight = 0.0
        self._positive, self._negative, self._predicted = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)

    def update(self, y: Floats, p: Floats, w: Floats) -> None:
        """Count labels ``y`` (0 or 1), probabilities ``p`` and weights ``w``, each [n]."""
        self.updates += 1
        self._scale *= self._growth
        scaled = w * self._scale
        clamped = np.minimum(np.maximum(p, _CLAMP), 1.0 - _CLAMP)
        hits = scaled * y
        bins = np.searchsorted(_EDGES, p)
        np.add.at(self._positive, bins, hits)
        np.add.at(self._negative, bins, scaled - hits)
        np.add.at(self._predicted, bins, scaled * p)
        self._loss -= float((scaled * np.log(np.where(y > 0.5, clamped, 1.0 - clamped))).sum())
        self._weight += float(scaled.sum())
        if self._scale > _RESCALE:
            for sums in (self._positive, self._negative, self._predicted):
                np.divide(sums, self._scale, out=sums)
            self._loss /= self._scale
            self._weight /= self._scale
            self._scale = 1.0

    def logloss(self) -> float:
        """Mean natural log loss; NaN before anything was counted."""
        return self._loss / self._weight if self._weight else float("nan")

    def auc(self) -> float:
        """The probability that a row taken up was scored above one that was not; NaN until there are both."""
        below = np.cumsum(self._negative) - self._negative
        pairs = float(self._positive.sum() * self._negative.sum())
        if pairs <= 0.0:
            return float("nan")
        return float((self._positive * (below + 0.5 * self._negative)).sum()) / pairs

    def calibration(self, bins: int = 10) -> list[CalibrationBin]:
        """At most ``bins`` ranges of rising probability with about as many rows (weighted) in each."""
        weights = self._positive + self._negative
        total = float(weights.sum())
        if total <= 0.0:
            return []
        group = np.minimum((np.cumsum(weights) - 0.5 * weights) / total * bins, bins - 1).astype(np.int64)
        sums = [np.bincount(group, each, bins).tolist() for each in (weights, self._predicted, self._positive)]
        return [CalibrationBin(w / self._scale, p / w, o / w) for w, p, o in zip(*sums, strict=True) if w > 0.0]

    def calibration_error(self, bins: int = 10) -> float:
        """The mean distance of predicted from observed share over the bins, weighted (expected calibration error)."""
        found = self.calibration(bins)
        total = sum(b.weight for b in found)
        return sum(b.weight * abs(b.predicted - b.observed) for b in found) / total if found else float("nan")

    def state(self) -> MetricsState:
        """Everything, for ``restore``."""
        arrays = (a.astype("<f8").tobytes() for a in (self._positive, self._negative, self._predicted))
        return MetricsState(self.updates, self._scale, self._loss, self._weight, *arrays)

    def restore(self, state: MetricsState) -> None:
        """Go on from what ``state`` gave; from zero if it was of other bins or is damaged."""
        columns = (state.positive, state.negative, state.predicted)
        if any(len(column) != 8 * BINS for column in columns):
            return
        arrays = [np.frombuffer(column, dtype="<f8").copy() for column in columns]
        sums = np.concatenate((*arrays, [state.loss, state.weight, state.scale - 1.0]))
        # So written, NaN is refused too.
        if ((sums >= 0) & (sums < _ABSURD)).all():
            self.updates, self._scale = state.updates, state.scale
            self._loss, self._weight = state.loss, state.weight
            self._positive, self._negative, self._predicted = arrays
