"""The predictors' models as a worker serves them, and what they say of a shopper.

Parameters come as blocks ``predict/<name>`` of topic ``model``, like the ranker's; until one arrives the priors serve.
Nothing that is predicted is stored with the profile, which is a function of its events alone: a prediction is made
when it is asked for, from the profile and the model of that moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from streamer.core.models.logistic import Logistic, from_block
from streamer.core.models.model import ModelRefused
from streamer.core.predictions.predictor import YES_OR_NO, Moment
from streamer.core.predictions.registry import BY_NAME, PREDICTORS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from streamer.core.predictions.predictor import Predictor
    from streamer.core.profile import Profile
    from streamer.core.settings import CoreSettings

    Floats = NDArray[np.float64]

PREDICT: Final = "predict/"
"""Blocks of topic ``model`` are keyed by this and the predictor's name."""


class Foreseeing(Protocol):
    """Models by predictor."""

    def probabilities(self, name: str, features: int, x: Floats) -> Floats:
        """Of rows [F, m]: p [m]; 0.5 each if the rows are of another list of features than the model's."""
        ...


def block_names(predictor: Predictor) -> tuple[str, ...]:
    """The features as a block names them, so that no two predictors' blocks are taken for one another's."""
    return tuple(f"{predictor.name}.{name}" for name in predictor.names)


def prior(predictor: Predictor) -> Logistic:
    """What predicts before anything was learned: version 0."""
    return Logistic(block_names(predictor), predictor.priors, predictor.bias)


class Served:
    """The newest good model of each predictor. ``problem`` says why the newest block is not served, "" if it is."""

    def __init__(self) -> None:
        self._models: dict[str, Logistic] = {predictor.name: prior(predictor) for predictor in PREDICTORS}
        self.problem = ""

    def apply(self, key: str, value: bytes | None) -> bool:
        """Serve a block from now on; a tombstone or a block that is refused (``False`` then) brings the priors back.

        What is not keyed by ``PREDICT``, or is a predictor's that this program does not know, is passed over.
        """
        predictor = BY_NAME.get(key.removeprefix(PREDICT)) if key.startswith(PREDICT) else None
        if predictor is None:
            return True
        self.problem = ""
        self._models[predictor.name] = prior(predictor)
        if value is not None:
            try:
                self._models[predictor.name] = from_block(value, block_names(predictor))
            except ModelRefused as refusal:
                self.problem = str(refusal)
        return not self.problem

    def version(self, name: str) -> int:
        """Of the model that is served."""
        return self._models[name].version

    def probabilities(self, name: str, features: int, x: Floats) -> Floats:
        """As ``Foreseeing.probabilities``."""
        predictor = BY_NAME.get(name)
        if predictor is None or predictor.features_id != features:
            return np.full(x.shape[1], 0.5)
        return self._models[name].predict_proba_many(x)


class Foresight:
    """What is predicted of a shopper as of one event, each predictor asked at most once, and only if somebody asks."""

    __slots__ = ("_foreseeing", "_moment", "_said")

    def __init__(self, profile: Profile, now_ms: int, foreseeing: Foreseeing, settings: CoreSettings) -> None:
        self._moment = Moment(profile, now_ms, settings.predictions, settings.profile)
        self._foreseeing = foreseeing
        self._said: dict[str, dict[int, float]] = {}

    @staticmethod
    def ask(many: Iterable[Foresight], name: str) -> None:
        """Have all predict by one predictor at once: of each the same as if asked alone. They share their models."""
        fresh = [each for each in {id(each): each for each in many}.values() if name not in each._said]  # noqa: SLF001
        predictor = BY_NAME[name]
        described = [predictor.describe(each._moment) for each in fresh]  # noqa: SLF001
        rows = [row for _, own in described for row in own]
        if not rows:
            return
        p = fresh[0]._chances(predictor, rows)  # noqa: SLF001
        for each, (keys, _) in zip(fresh, described, strict=True):
            each._said[name] = dict(zip(keys, p[: len(keys)], strict=True))  # noqa: SLF001
            p = p[len(keys) :]

    def of(self, name: str) -> dict[int, float]:
        """The probability of each choice of a predictor, by key; empty if there is nothing to predict from.

        Raises KeyError if there is no such predictor.
        """
        if (said := self._said.get(name)) is not None:
            return said
        predictor = BY_NAME[name]
        keys, rows = predictor.describe(self._moment)
        found = dict(zip(keys, self._chances(predictor, rows), strict=True)) if keys else {}
        self._said[name] = found
        return found

    def _chances(self, predictor: Predictor, rows: list[list[float]]) -> list[float]:
        # As they are learned from: a float16 each.
        x = np.array(rows, dtype="<f2").T.astype(np.float64)
        found: list[float] = self._foreseeing.probabilities(predictor.name, predictor.features_id, x).tolist()
        return found

    def chance(self, name: str) -> float:
        """The probability of a question of yes or no."""
        return self.of(name)[YES_OR_NO[0]]

    def likeliest(self, name: str) -> tuple[int, float] | None:
        """The likeliest choice, ties to the smaller key, and its probability; ``None`` without choices."""
        found = self.of(name)
        return min(found.items(), key=lambda choice: (-choice[1], choice[0])) if found else None
