"""The trainer: examples in, in log order; a model that others may serve out. Pure, and the same for any batching.

Every example is first predicted, the prediction is scored, and only then is it learned from (prequential), so that the
metrics are honest: they are of a model that had not seen the example.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import numpy as np

from streamer.core.models import logistic
from streamer.core.models.metrics import BinaryMetrics, MetricsState
from streamer.core.models.model import CHAMPION, ModelRefused, decode_block
from streamer.core.models.registry import MODELS, learner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.example import Example
    from streamer.core.models.model import Floats, Learner

CHAMPION_BLOCK: Final = CHAMPION + logistic.KIND
LEARNER_BLOCK: Final = "trainer/learner"
"""Of the trainer's own table only: accumulators, metrics and counters."""


class LearnerRow(msgspec.Struct, array_like=True):
    """What the champion's published block leaves out. ``squares``: the ``memory()`` of its learning, float64."""

    squares: bytes
    examples: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    refused: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    champion: MetricsState
    served: MetricsState


class Trainer:
    """Learns the champion, of the kind that the settings name.

    ``champion`` is the live model: it may be served from at once (as ``evaluate`` does) or through ``blocks()``.
    ``version`` goes up by one with the first example after a publication. ``refused`` counts examples of another
    feature list and steps that would not have been finite; neither leaves a trace in the parameters.
    """

    def __init__(self, settings: LearningSettings) -> None:
        self.champion: Learner = learner(settings.model, settings)
        self.block_key = CHAMPION + settings.model
        self._from_block = MODELS[settings.model].from_block
        self.examples = self.rows = self.refused = 0
        self._own = BinaryMetrics(settings.metrics_memory)
        self._served = BinaryMetrics(settings.metrics_memory)
        self._touched = False

    def predict(self, example: Example) -> Floats:
        """What the champion says now of the example's rows [m]; NaN of those of another feature list."""
        if not self._fits(example):
            return np.full(example.rows(), np.nan)
        return self.champion.predict_proba_many(example.features())

    def _fits(self, example: Example) -> bool:
        names = self.champion.names
        return example.features_id == self.champion.features and len(example.x) == 2 * len(names) * example.rows()

    def learn(self, examples: Sequence[Example]) -> None:
        """Predict, score and learn, example by example."""
        for example in examples:
            self.learn_one(example)

    def learn_one(self, example: Example) -> Floats:
        """Predict, score and learn from one example. Returns what was predicted [m], NaN if it is refused."""
        champion = self.champion
        if not self._fits(example):
            self.refused += 1
            return np.full(example.rows(), np.nan)
        x, y, w = example.features(), example.outcomes(), example.sampling_weights()
        if not (np.isfinite(x).all() and np.isfinite(w).all()):
            self.refused += 1
            return np.full(example.rows(), np.nan)
        p = champion.predict_proba_many(x)
        self._own.update(y, p, w)
        self._served.update(y, example.served(), w)
        self.examples += 1
        self.rows += len(y)
        if not champion.learn_many(x, y, w, p):
            self.refused += 1
        elif not self._touched:
            self._touched = True
            champion.version += 1
        return p

    def blocks(self) -> dict[str, bytes]:
        """What topic ``model`` has not had yet; nothing if nothing was learned since the last call."""
        if not self._touched:
            return {}
        self._touched = False
        return {self.block_key: self.champion.block()}

    def state(self) -> dict[str, bytes]:
        """Everything ``restore`` needs, for the trainer's table."""
        row = LearnerRow(
            self.champion.memory().astype("<f8").tobytes(),
            self.examples,
            self.rows,
            self.refused,
            self._own.state(),
            self._served.state(),
        )
        return {self.block_key: self.champion.block(), LEARNER_BLOCK: msgspec.msgpack.encode(row)}

    def restore(self, blocks: Mapping[str, bytes]) -> str:
        """Go on from what ``state`` gave. Says why if it could not, and then begins at the priors.

        Versions only ever go up: one that could not be restored in full is still counted on from.
        """
        champion = self.champion
        # A table that was another kind's: its versions go on, nothing else.
        others = [_version(blocks[key]) for key in blocks if key.startswith(CHAMPION)]
        champion.version = max(champion.version, *others, 0)
        if self.block_key not in blocks or LEARNER_BLOCK not in blocks:
            return ""
        try:
            kept: Any = self._from_block(blocks[self.block_key], champion.names)
            row = msgspec.msgpack.decode(blocks[LEARNER_BLOCK], type=LearnerRow)
        except (ModelRefused, msgspec.DecodeError, RecursionError) as error:
            return str(error)
        memory = np.frombuffer(row.squares if len(row.squares) % 8 == 0 else b"", dtype="<f8")
        newest = champion.version
        if not champion.remember(kept, memory):
            return "the learner's accumulators are not those of this feature list"
        champion.version = newest
        self.examples, self.rows, self.refused = row.examples, row.rows, row.refused
        self._own.restore(row.champion)
        self._served.restore(row.served)
        self._touched = False
        return ""

    def metrics(self) -> dict[str, float]:
        """Prequential figures: of the champion when it met each example, and (``served_``) of what was served then."""
        return {
            "logloss": self._own.logloss(),
            "auc": self._own.auc(),
            "calibration_error": self._own.calibration_error(),
            "served_logloss": self._served.logloss(),
            "served_auc": self._served.auc(),
            "examples": float(self.examples),
            "refused": float(self.refused),
        }

    def digest(self) -> str:
        """BLAKE2b-128 of the parameters and the counters: equal for equal examples in equal order.

        On any machine for the logistic model; the listwise net's last bits are those of its processor's BLAS.
        """
        state = self.champion.block() + self.champion.memory().astype("<f8").tobytes()
        return blake2b(state + f"{self.examples}:{self.rows}:{self.refused}".encode(), digest_size=16).hexdigest()


def _version(block: bytes) -> int:
    try:
        return decode_block(block).version
    except ModelRefused:
        return 0
