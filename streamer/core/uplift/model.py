"""What shoppers do with a push and without: four logistic models over one row of features.

``conversion`` is learned from all, whether they were sent the push or were held back by chance. Its row is the features
and, of a push that was sent, the features once more and what the click *carries*. So one set of weights says what
shoppers buy anyway, learned from everybody, and another what a push changes about it, which is kept close to its prior
until there is evidence: one model with interactions, an "S-learner" that cannot overlook the treatment.

The prior is that a push sells through its click and not otherwise (a mediator: Pearl, "Direct and indirect effects",
UAI 2001), and nothing to those who would buy all the same. Of shoppers who buy anyway with chance ``p``, who click with
chance ``c`` and then take what was shown with chance ``q``, ``p + c q (1 - p)`` buy if pushed (a "noisy or"): what is
*carried* is that in log-odds above ``p``. Clicks are seen of all that was sent, and purchases without a push of a small
group only; so who is persuaded is told from who would buy anyway long before the groups could tell. But who clicks may
have meant to buy, and then too much is ascribed to the click. So the weight of what is carried begins at 1 and is
learned from the groups, as is all that a push changes without being clicked.

``click`` and ``opt_out`` are learned from what was sent, as without a push there is nothing to click on, and
``taken``, whether what was shown is bought after a click, from what was clicked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamer.core.exactmath import LOG2_E, log2
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
CONVERSION, CLICK, OPT_OUT, TAKEN = "conversion", "click", "opt_out", "taken"

_ALWAYS_VARIANCE: Final = 4.0
_OPT_OUTS_VARIANCE: Final = 1.0
"""Of how many opt out at all: a handful of early ones is not to make the policy timid, or bold, for weeks."""
_CARRIED_VARIANCE: Final = 0.25
_LEAST: Final = 2.0**-30
_SIZE: Final = len(FEATURES)


class Forecast(NamedTuple):
    """Probabilities: of a purchase if the push is sent and if not, and of a click and an opt-out if it is sent."""

    pushed: float
    anyway: float
    click: float
    opt_out: float


class Shape(NamedTuple):
    """A model's features as its block names them, their priors, and which weights are of what a push changes.

    ``always_variance``: how far the level may lie from its prior, as a variance, in log-odds squared.
    """

    names: tuple[str, ...]
    priors: tuple[float, ...]
    effects: int = 0
    always_variance: float = _ALWAYS_VARIANCE

    def prior(self) -> Logistic:
        """What is said before anything was learned: version 0."""
        return Logistic(self.names, self.priors, 0.0)

    def learner(self, settings: UpliftSettings) -> OnlineLaplace:
        """An untaught model that learns as the settings say."""
        own = settings.main_variance if self.effects else settings.sent_variance
        variances = [max(self.always_variance, own), *[own] * (_SIZE - 1)]
        if self.effects:
            variances += [settings.effect_variance] * _SIZE + [_CARRIED_VARIANCE]
        return OnlineLaplace(self.names, self.priors, variances, memory=settings.memory)


def _of_all(name: str) -> Shape:
    names = [f"{name}.{feature}" for feature in NAMES] + [f"{name}.push.{feature}" for feature in NAMES]
    priors = [feature.main for feature in FEATURES] + [feature.push for feature in FEATURES]
    return Shape((*names, f"{name}.push.carried"), (*priors, 1.0), _SIZE + 1)


def _of_sent(name: str, priors: Sequence[float], always_variance: float = _ALWAYS_VARIANCE) -> Shape:
    return Shape(tuple(f"{name}.{feature}" for feature in NAMES), tuple(priors), always_variance=always_variance)


SHAPES: Final = {
    CONVERSION: _of_all(CONVERSION),
    CLICK: _of_sent(CLICK, [feature.click for feature in FEATURES]),
    OPT_OUT: _of_sent(OPT_OUT, [feature.leave for feature in FEATURES], _OPT_OUTS_VARIANCE),
    TAKEN: _of_sent(TAKEN, (-1.5, *[0.0] * (_SIZE - 1))),
}
"""By name. Before anything was learned one in six takes what was clicked on, whoever it is."""


def unpacked(row: bytes) -> Floats:
    """A row of features, float64 [F]."""
    return np.frombuffer(row, dtype="<f2").astype(np.float64)


def rows_of(x: Floats, carried: Floats | None) -> Floats:
    """Moments [F, n] as rows of ``conversion`` [2 F + 1, n]: pushed with what the clicks carry [n], or not pushed."""
    if carried is None:
        return np.concatenate((x, np.zeros((len(x) + 1, x.shape[1]))))
    return np.concatenate((x, x, carried[None]))


def carried_of(models: Sequence[Logistic], x: Floats) -> tuple[Floats, Floats, Floats]:
    """Of moments [F, n], by ``models`` in the order of ``SHAPES``: what the click carries, in log-odds, the chance to
    buy anyway, and of a click; [n] each.
    """
    conversion, click, _, taken = models
    anyway = conversion.predict_proba_many(rows_of(x, None))
    clicked = click.predict_proba_many(x)
    more = clicked * taken.predict_proba_many(x) * (1.0 - anyway)
    return _log_odds(anyway + more) - _log_odds(anyway), anyway, clicked


def forecasts(models: Sequence[Logistic], x: Floats) -> list[Forecast]:
    """What ``models``, in the order of ``SHAPES``, say of moments [F, n]: of each the same as of it alone."""
    carried, anyway, clicked = carried_of(models, x)
    pushed = models[0].predict_proba_many(rows_of(x, carried))
    leaves = models[2].predict_proba_many(x)
    return list(map(Forecast, pushed.tolist(), anyway.tolist(), clicked.tolist(), leaves.tolist()))


def forecast(models: Sequence[Logistic], x: Floats) -> Forecast:
    """What ``models``, in the order of ``SHAPES``, say of a moment [F]."""
    return forecasts(models, x[:, None])[0]


def _log_odds(p: Floats) -> Floats:
    held = np.minimum(np.maximum(p, _LEAST), 1.0 - _LEAST)
    return (log2(held) - log2(1.0 - held)) / LOG2_E


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
