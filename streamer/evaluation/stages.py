"""What each stage of a list takes. Nothing is decided by it: times are in no digest."""

from __future__ import annotations

from array import array
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.models.model import Model

    Floats = NDArray[np.float64]

STAGES: Final = ("settle", "retrieve", "features", "score", "learn", "fold")
"""Bringing news into the item index, making candidates, their features, their probabilities; learning from the list;
folding a group of events, which is per group while the others are per list."""


class Watched:
    """A model that tells how long it scored. It is the model's own, to everybody who ranks."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.version = model.version
        self.seconds = 0.0

    def predict_many(self, x: Floats) -> Floats:
        """As ``Model.predict_many``."""
        began = perf_counter()
        p = self._model.predict_many(x)
        self.seconds += perf_counter() - began
        return p

    def contributions(self, row: Floats) -> Floats:
        """As ``Model.contributions``."""
        return self._model.contributions(row)


class Stages:
    """Seconds by stage."""

    clock = staticmethod(perf_counter)

    def __init__(self) -> None:
        self._seconds = {name: array("d") for name in STAGES}

    def watch(self, model: Model) -> Watched:
        """The model, watched."""
        return Watched(model)

    def add(self, stage: str, seconds: float) -> None:
        """Note that a stage took so long."""
        self._seconds[stage].append(seconds)

    def took(self, stage: str, began: float, beside: float = 0.0) -> float:
        """Note what a stage took since ``began``, less what was ``beside`` it; gives the time now."""
        now = perf_counter()
        self._seconds[stage].append(now - began - beside)
        return now

    def milliseconds(self) -> dict[str, dict[str, float]]:
        """The median, mean and 99th percentile of each stage, in ms, and the sum in seconds."""
        return {name: {**percentiles(found), "total_s": round(sum(found), 2)} for name, found in self._seconds.items()}


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """The 50th and 99th percentile in ms; 0 of nothing."""
    if not len(seconds):
        return {"p50": 0.0, "p99": 0.0}
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}
