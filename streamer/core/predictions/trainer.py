"""The predictors' models, learned online from outcomes in log order: predict, score, then learn. Pure.

The same loop as the ranker's: outcomes on ``examples``, a model in the trainer's table, its blocks on ``model``.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import numpy as np

from streamer.core.models.importance import Importance
from streamer.core.models.logistic import OnlineLogistic, from_block
from streamer.core.models.metrics import BinaryMetrics, MetricsState
from streamer.core.models.model import ModelRefused
from streamer.core.predictions.registry import PREDICTORS
from streamer.core.predictions.served import PREDICT, block_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from streamer.core.prediction_settings import PredictionSettings
    from streamer.core.predictions.example import Outcome
    from streamer.core.predictions.predictor import Predictor

    Floats = NDArray[np.float64]

LEARNER: Final = "trainer/predict/"
"""Of the trainer's own table only: what the block of a predictor leaves out."""
_IMPORTANCE: Final = "trainer/importance/predict/"

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class LearnerRow(msgspec.Struct, array_like=True):
    """What a predictor's block leaves out. ``squares``: its accumulators, float64 [F]; ``first``: the likeliest row
    was the one that came true.
    """

    squares: bytes
    outcomes: Count
    refused: Count
    first: Count
    own: MetricsState
    served: MetricsState


class _Learner:
    def __init__(self, predictor: Predictor, settings: PredictionSettings) -> None:
        self.predictor = predictor
        self.model = OnlineLogistic(
            block_names(predictor),
            predictor.priors,
            predictor.bias,
            learning_rate=settings.learning_rate,
            prior_strength=settings.prior_strength,
            clip=settings.clip,
        )
        self.key, self.row_key = PREDICT + predictor.name, LEARNER + predictor.name
        self.own, self.served = BinaryMetrics(settings.metrics_memory), BinaryMetrics(settings.metrics_memory)
        self.importance = Importance(predictor.names, settings.metrics_memory)
        self.outcomes = self.refused = self.first = 0
        self.touched = False

    def learn(self, example: Outcome) -> None:
        x, y = example.x_many(), example.labels()
        if example.features != self.predictor.features_id or len(x) != len(self.predictor.names):
            self.refused += 1
            return
        p = self.model.predict_proba_many(x)
        ones = np.ones(len(y))
        self.own.update(y, p, ones)
        self.served.update(y, example.served(), ones)
        self.outcomes += 1
        self.first += int(np.argmax(p)) == example.outcome
        self.importance.update(self.model.contributions_many(x), ones)
        if not self.model.learn_many(x, y, ones, p):
            self.refused += 1
        elif not self.touched:
            self.touched = True
            self.model.version += 1

    def state(self) -> dict[str, bytes]:
        row = LearnerRow(
            self.model.memory().astype("<f8").tobytes(),
            self.outcomes,
            self.refused,
            self.first,
            self.own.state(),
            self.served.state(),
        )
        importance = {_IMPORTANCE + self.predictor.name: self.importance.state()}
        return {self.key: self.model.block(), self.row_key: msgspec.msgpack.encode(row), **importance}

    def restore(self, blocks: Mapping[str, bytes]) -> str:
        if self.key not in blocks or self.row_key not in blocks:
            return ""
        try:
            kept: Any = from_block(blocks[self.key], self.model.names)
            row = msgspec.msgpack.decode(blocks[self.row_key], type=LearnerRow)
        except (ModelRefused, msgspec.DecodeError, RecursionError) as error:
            return f"{self.key}: {error}"
        memory = np.frombuffer(row.squares if len(row.squares) % 8 == 0 else b"", dtype="<f8")
        if not self.model.remember(kept, memory):
            return f"{self.key}: the accumulators are not those of this feature list"
        self.outcomes, self.refused, self.first = row.outcomes, row.refused, row.first
        self.own.restore(row.own)
        self.served.restore(row.served)
        self.importance.restore(blocks.get(_IMPORTANCE + self.predictor.name))
        self.touched = False
        return ""

    def metrics(self) -> dict[str, float]:
        found = {
            "logloss": self.own.logloss(),
            "auc": self.own.auc(),
            "calibration_error": self.own.calibration_error(),
            "served_logloss": self.served.logloss(),
            "served_auc": self.served.auc(),
            "rate": sum(b.weight * b.observed for b in self.own.calibration())
            / max(sum(b.weight for b in self.own.calibration()), 1e-12),
            "outcomes": float(self.outcomes),
            "refused": float(self.refused),
            "version": float(self.model.version),
        }
        if self.predictor.choices:
            found["first"] = self.first / max(self.outcomes, 1)
        return found


class PredictionTrainer:
    """Learns all predictors. It foresees with what it has learned so far, so that ``evaluate`` needs no replica."""

    def __init__(self, settings: PredictionSettings) -> None:
        self._learners = {predictor.name: _Learner(predictor, settings) for predictor in PREDICTORS}

    def learn_one(self, example: Outcome) -> None:
        """Predict, score, then learn. One of a predictor or a feature list that is not known leaves no trace."""
        learner = self._learners.get(example.predictor)
        if learner is not None:
            learner.learn(example)

    def probabilities(self, name: str, features: int, x: Floats) -> Floats:
        """As ``Foreseeing.probabilities``."""
        learner = self._learners.get(name)
        if learner is None or learner.predictor.features_id != features:
            return np.full(x.shape[1], 0.5)
        return learner.model.predict_proba_many(x)

    def blocks(self) -> dict[str, bytes]:
        """What topic ``model`` has not had yet."""
        found = {}
        for learner in self._learners.values():
            if learner.touched:
                learner.touched = False
                found[learner.key] = learner.model.block()
        return found

    def state(self) -> dict[str, bytes]:
        """Everything ``restore`` needs, for the trainer's table."""
        return {key: value for learner in self._learners.values() for key, value in learner.state().items()}

    def restore(self, blocks: Mapping[str, bytes]) -> str:
        """Go on from what ``state`` gave. Says what could not be, and begins at the priors there."""
        return "; ".join(problem for each in self._learners.values() if (problem := each.restore(blocks)))

    def metrics(self) -> dict[str, dict[str, float]]:
        """Prequential figures by predictor: of the model when it met each outcome, ``served_`` of what was served.

        ``rate``: the share of rows that came true; ``first``: of outcomes, how often the likeliest choice came true.
        """
        return {name: learner.metrics() for name, learner in self._learners.items()}

    def importance(self) -> dict[str, dict[str, float]]:
        """What features weigh (``models.importance``), by predictor."""
        return {name: learner.importance.figures() for name, learner in self._learners.items()}

    def digest(self) -> str:
        """BLAKE2b-128 of all parameters and counters: equal for equal outcomes in equal order, on any machine.

        Not of the versions, which count publications.
        """
        digest = blake2b(digest_size=16)
        for name, learner in self._learners.items():
            model = learner.model
            digest.update(f"{name}:{learner.outcomes}:{learner.refused}:{model.bias!r}".encode())
            digest.update(model.weights.astype("<f8").tobytes() + model.memory().astype("<f8").tobytes())
        return digest.hexdigest()
