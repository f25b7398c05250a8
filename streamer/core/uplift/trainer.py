"""What a push changes, learned online from responses in log order: foretell, score, then learn. Pure.

The same loop as the other learners': responses on ``examples``, models in the trainer's table, their blocks on
``model``. Responses come when their time is over, never earlier, so that who has not bought yet is not taken for one
who will not.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import numpy as np

from streamer.core.models.importance import Importance
from streamer.core.models.logistic import from_block
from streamer.core.models.metrics import BinaryMetrics, MetricsState
from streamer.core.models.model import ModelRefused
from streamer.core.uplift.features import FEATURES_ID, NAMES
from streamer.core.uplift.figures import FiguresState, UpliftFigures
from streamer.core.uplift.model import (
    CLICK,
    CONVERSION,
    OPT_OUT,
    SHAPES,
    TAKEN,
    UPLIFT,
    carried_of,
    forecast,
    rows_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.core.uplift.model import Forecast
    from streamer.core.uplift.response import Response
    from streamer.core.uplift_settings import UpliftSettings

LEARNER: Final = "trainer/uplift/"
"""Of the trainer's own table only: what the block of a model leaves out, and the figures."""
_FIGURES_ROW: Final = f"{LEARNER}figures"
_IMPORTANCE: Final = "trainer/importance/uplift/"
_PUSHED, _HELD = "pushed", "held_back"
_ONE: Final = np.ones(1)

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class FiguresRow(msgspec.Struct, array_like=True):
    """How well it went so far. ``told``: by what is foretold, in the order of ``UpliftTrainer``."""

    responses: Count
    pushed: Count
    refused: Count
    told: tuple[MetricsState, ...]
    uplift: FiguresState


class UpliftTrainer:
    """Learns the models of ``SHAPES``. It foretells with what it has learned so far."""

    def __init__(self, settings: UpliftSettings) -> None:
        self._models = {name: shape.learner(settings) for name, shape in SHAPES.items()}
        self._told = {name: BinaryMetrics(settings.metrics_memory) for name in (_PUSHED, _HELD, CLICK, OPT_OUT)}
        self._uplift = UpliftFigures(settings.metrics_memory)
        self._importance = {name: Importance(shape.names, settings.metrics_memory) for name, shape in SHAPES.items()}
        self.responses = self.pushed = self.refused = 0
        self._unpublished: dict[str, None] = {}
        self._unsaved: dict[str, None] = {}

    def learn_one(self, response: Response) -> None:
        """Foretell, score, then learn. One of another list of features is counted and leaves no other trace."""
        x = response.row()
        if response.features != FEATURES_ID or len(x) != len(NAMES):
            self.refused += 1
            return
        models, column = tuple(self._models.values()), x[:, None]
        self._score(response, forecast(models, x))
        carried = carried_of(models, column)[0] if response.pushed else None
        learned = {CONVERSION: (rows_of(column, carried)[:, 0], response.bought)}
        if response.pushed and response.reached:
            learned |= {CLICK: (x, response.clicked), OPT_OUT: (x, response.opted_out)}
        if response.clicked:
            learned[TAKEN] = x, response.taken
        for name, (row, label) in learned.items():
            model = self._models[name]
            self._importance[name].update(model.contributions_many(row[:, None]), _ONE)
            if not model.learn_row(row, float(label)):
                self.refused += 1
                continue
            if name not in self._unpublished:
                model.version += 1
            self._unpublished[name] = self._unsaved[name] = None

    def _score(self, response: Response, told: Forecast) -> None:
        self.responses += 1
        self.pushed += response.pushed
        scored = {_PUSHED: (response.bought, told.pushed)}
        if response.pushed and response.reached:
            scored |= {CLICK: (response.clicked, told.click), OPT_OUT: (response.opted_out, told.opt_out)}
        else:
            scored = {_HELD: (response.bought, told.anyway)}
        for name, (came, p) in scored.items():
            self._told[name].update(np.array([float(came)]), np.array([p]), _ONE)
        if response.chance < 1.0:  # what was certain to be sent compares with nobody
            self._uplift.update(
                told.pushed - told.anyway, response.chance, pushed=response.pushed, bought=response.bought
            )

    def forecast(self, response: Response) -> Forecast:
        """What is foretold now of a response's moment."""
        return forecast(tuple(self._models.values()), response.row())

    def blocks(self) -> dict[str, bytes]:
        """What topic ``model`` has not had yet."""
        found = {UPLIFT + name: self._models[name].block() for name in self._unpublished}
        self._unpublished.clear()
        return found

    def rows(self) -> dict[str, bytes]:
        """What the trainer's table has not had yet: ``restore`` makes the same learner of all of them."""
        encode = msgspec.msgpack.encode
        states = tuple(told.state() for told in self._told.values())
        row = FiguresRow(self.responses, self.pushed, self.refused, states, self._uplift.state())
        found = {_FIGURES_ROW: encode(row)}
        for name in self._unsaved:
            model = self._models[name]
            found[UPLIFT + name] = model.block()
            found[LEARNER + name] = model.memory().astype("<f8").tobytes()
            found[_IMPORTANCE + name] = self._importance[name].state()
        self._unsaved.clear()
        return found

    def restore(self, rows: Mapping[str, bytes]) -> str:
        """Go on from rows of the table. Says what could not be, and begins at the prior there."""
        problems = [problem for name in SHAPES if (problem := self._restore(name, rows))]
        if _FIGURES_ROW in rows:
            try:
                row = msgspec.msgpack.decode(rows[_FIGURES_ROW], type=FiguresRow)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                problems.append(f"figures: {error}")
            else:
                self.responses, self.pushed, self.refused = row.responses, row.pushed, row.refused
                for told, state in zip(self._told.values(), row.told, strict=False):
                    told.restore(state)
                self._uplift.restore(row.uplift)
        return "; ".join(problems)

    def _restore(self, name: str, rows: Mapping[str, bytes]) -> str:
        if UPLIFT + name not in rows or LEARNER + name not in rows:
            return ""
        memory, model = rows[LEARNER + name], self._models[name]
        try:
            kept: Any = from_block(rows[UPLIFT + name], model.names)
        except ModelRefused as refusal:
            return f"{name}: {refusal}"
        if not model.remember(kept, np.frombuffer(memory if len(memory) % 8 == 0 else b"", dtype="<f8")):
            return f"{name}: the covariance is not of this list of features"
        self._importance[name].restore(rows.get(_IMPORTANCE + name))
        return ""

    def metrics(self) -> dict[str, dict[str, float]]:
        """Prequential figures by what is foretold, each by the model as it was when it met the response.

        ``pushed``, ``held_back``: of a purchase, in either group; ``click``, ``opt_out``: of those pushed;
        ``lift``: of the difference that a push makes.
        """
        found = {}
        for name, told in self._told.items():
            groups = told.calibration()
            weight = sum(group.weight for group in groups)
            rate = sum(g.weight * g.observed for g in groups) / weight if weight else float("nan")
            found[name] = {
                "logloss": told.logloss(),
                "auc": told.auc(),
                "calibration_error": told.calibration_error(),
                "rate": rate,
                "responses": float(told.updates),
            }
        found["lift"] = self._uplift.figures() | {
            "responses": float(self.responses),
            "refused": float(self.refused),
            "version": float(self._models[CONVERSION].version),
        }
        return found

    def importance(self) -> dict[str, dict[str, float]]:
        """What features weigh (``models.importance``), by model: of what happens anyway, and of what a push changes."""
        return {name: importance.figures() for name, importance in self._importance.items()}

    def digest(self) -> str:
        """BLAKE2b-128 of all parameters and counters: equal for equal responses in equal order, on any machine.

        Not of the versions, which count publications.
        """
        digest = blake2b(f"{self.responses}:{self.pushed}:{self.refused}".encode(), digest_size=16)
        for name, model in self._models.items():
            digest.update(name.encode() + model.weights.astype("<f8").tobytes())
            digest.update(model.memory().astype("<f8").tobytes())
        return digest.hexdigest()
