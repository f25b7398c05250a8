"""What shoppers do with a push and without: three logistic models over one row of features.

``conversion`` is learned from all, whether they were sent the push or were held back by chance: its row is the features
and, beside them, the features times +1/2 if pushed and -1/2 if not. So one set of weights says what shoppers do
anyway, learned from everybody, and another what a push changes about it, which is kept close to its prior until
there is evidence: one model with interactions, an "S-learner" that cannot overlook the treatment. ``click`` and
``opt_out`` are learned from what was sent, as without a push there is nothing to click on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamer.core.models.logistic import Logistic, from_block
from streamer.core.models.model import ModelRefused
from streamer.core.uplift.features import FEATURES, NAMES
from streamer.core.uplift.online import OnlineLaplace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.uplift_settings import UpliftSettings

    Floats = NDArray[np.float64]

UPLIFT: Final = "uplift/"
"""Blocks of topic ``model`` are keyed by this and the model's name."""
CONVERSION, CLICK, OPT_OUT = "conversion", "click", "opt_out"

_HALF: Final = 0.5
_ALWAYS_VARIANCE: Final = 4.0
_SIZE: Final = len(FEATURES)


class Forecast(NamedTuple):
    """Probabilities: of a purchase if the push is sent and if not, and of a click and an opt-out if it is sent."""

    pushed: float
    anyway: float
    click: float
    opt_out: float


class Shape(NamedTuple):
    """A model's features as its block names them, their priors, and which weights are of what a push changes."""

    names: tuple[str, ...]
    priors: tuple[float, ...]
    effects: tuple[bool, ...]

    def prior(self) -> Logistic:
        """What is said before anything was learned: version 0."""
        return Logistic(self.names, self.priors, 0.0)

    def learner(self, settings: UpliftSettings) -> OnlineLaplace:
        """An untaught model that learns as the settings say."""
        variances = [settings.effect_variance if effect else settings.main_variance for effect in self.effects]
        variances[0] = max(_ALWAYS_VARIANCE, settings.main_variance)
        return OnlineLaplace(self.names, self.priors, variances, memory=settings.memory)


def _of_all(name: str) -> Shape:
    names = [f"{name}.{feature}" for feature in NAMES] + [f"{name}.push.{feature}" for feature in NAMES]
    priors = [feature.main for feature in FEATURES] + [feature.push for feature in FEATURES]
    return Shape(tuple(names), tuple(priors), (False,) * _SIZE + (True,) * _SIZE)


def _of_sent(name: str, always: float) -> Shape:
    names = tuple(f"{name}.{feature}" for feature in NAMES)
    return Shape(names, (always, *[0.0] * (_SIZE - 1)), (False,) * _SIZE)


SHAPES: Final = {CONVERSION: _of_all(CONVERSION), CLICK: _of_sent(CLICK, -3.0), OPT_OUT: _of_sent(OPT_OUT, -7.0)}
"""By name. Before anything was learned one push in twenty is clicked on, and one in a thousand ends in an opt-out."""


def unpacked(row: bytes) -> Floats:
    """A row of features, float64 [F]."""
    return np.frombuffer(row, dtype="<f2").astype(np.float64)


def row_of(name: str, x: Floats, *, pushed: bool) -> Floats:
    """The features [F] of a moment as a model's row."""
    if name != CONVERSION:
        return x
    return np.concatenate((x, x * (_HALF if pushed else -_HALF)))


def forecasts(models: Sequence[Logistic], x: Floats) -> list[Forecast]:
    """What ``models``, in the order of ``SHAPES``, say of moments [F, n]: of each the same as of it alone."""
    conversion, click, opt_out = models
    half = x * _HALF
    pushed, anyway = np.concatenate((x, half)), np.concatenate((x, -half))
    columns = [conversion.predict_proba_many(rows) for rows in (pushed, anyway)]
    columns += [model.predict_proba_many(x) for model in (click, opt_out)]
    return list(map(Forecast, *[column.tolist() for column in columns]))


def forecast(models: Sequence[Logistic], x: Floats) -> Forecast:
    """What ``models``, in the order of ``SHAPES``, say of a moment [F]."""
    return forecasts(models, x[:, None])[0]


class ServedUplift:
    """The newest good models, as a worker serves them. ``problem`` says why a newest block is not, "" if it is."""

    def __init__(self) -> None:
        self._models: dict[str, Logistic] = {name: shape.prior() for name, shape in SHAPES.items()}
        self.problem = ""

    def apply(self, key: str, value: bytes | None) -> bool:
        """Serve a block from now on; a tombstone or a block that is refused (``False`` then) brings the prior back.

        What is not keyed by ``UPLIFT``, or is a model's that this program does not know, is passed over.
        """
        name = key.removeprefix(UPLIFT)
        if not key.startswith(UPLIFT) or name not in SHAPES:
            return True
        self.problem = ""
        self._models[name] = SHAPES[name].prior()
        if value is not None:
            try:
                self._models[name] = from_block(value, SHAPES[name].names)
            except ModelRefused as refusal:
                self.problem = str(refusal)
        return not self.problem

    def version(self, name: str) -> int:
        """Of the model that is served."""
        return self._models[name].version

    def forecasts(self, rows: Sequence[bytes]) -> list[Forecast]:
        """What is to be expected at each moment, by its row of features."""
        if not rows:
            return []
        x = np.frombuffer(b"".join(rows), dtype="<f2").reshape(len(rows), -1).T.astype(np.float64)
        return forecasts(tuple(self._models.values()), x)

    def forecast(self, row: bytes) -> Forecast:
        """What is to be expected at one."""
        return self.forecasts([row])[0]
