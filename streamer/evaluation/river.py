"""A classifier of River's in the champion's place, to see how the ranking would be with it.

It is fed as the trainer feeds the champion: predicted, then learned from, row by row, in order. It costs what River
costs: a dictionary and a call a candidate.
"""

from __future__ import annotations

from hashlib import blake2b
from importlib import import_module
from inspect import signature
from pickle import dumps
from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.core.models.model import on_grid
from streamer.core.models.registry import FEATURE_NAMES, FEATURES_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.models.example import Example

    Floats = NDArray[np.float64]


def find(name: str) -> Any:
    """The class of River's by its name without the package, such as ``linear_model.LogisticRegression``.

    Raises ValueError if there is none, or it is no classifier.
    """
    module, _, cls = name.rpartition(".")
    try:
        found = getattr(import_module(f"river.{module}" if module else "river"), cls)
    except (ImportError, AttributeError):
        raise ValueError(f"no model {name!r}: name a class of River's, as in linear_model.LogisticRegression") from None
    if not (isinstance(found, type) and hasattr(found, "predict_proba_one") and hasattr(found, "learn_one")):
        raise ValueError(f"{name} gives no probabilities: a classifier is needed")
    return found


class RiverTrainer:
    """The trainer's and the champion's part, played by a classifier of River's with its own defaults."""

    def __init__(self, name: str) -> None:
        """Raises ValueError as ``find`` does."""
        self._model = find(name)()
        self._weighs = "w" in signature(self._model.learn_one).parameters
        self.name = name
        self.version = 0
        self.champion = self

    def predict_many(self, x: Floats) -> Floats:
        """As ``Model.predict_many``."""
        predict = self._model.predict_proba_one
        p = [predict(dict(zip(FEATURE_NAMES, row, strict=True))).get(True, 0.0) for row in x.T.tolist()]
        return on_grid(np.array(p, np.float64))

    def contributions(self, row: Floats) -> Floats:
        """Not told: zeros."""
        return np.zeros_like(row)

    def learn(self, examples: Sequence[Example]) -> None:
        """As ``Trainer.learn``. A row stands for as many as it was drawn from, if the model takes weights."""
        learn = self._model.learn_one
        for example in examples:
            if example.features_id != FEATURES_ID:
                continue
            for row, y, w in zip(
                example.features().T.tolist(), example.outcomes() > 0, example.sampling_weights().tolist(), strict=True
            ):
                known = dict(zip(FEATURE_NAMES, row, strict=True))
                learn(known, bool(y), w) if self._weighs else learn(known, bool(y))
            self.version += 1

    def importance(self) -> dict[str, dict[str, float]]:
        """Not told."""
        return {}

    def digest(self) -> str:
        """BLAKE2b-128 of how many examples were learned and of the pickled model; of this version of River."""
        return blake2b(f"{self.name}:{self.version}".encode() + dumps(self._model), digest_size=16).hexdigest()
