"""A real River model learning live beside the champion, so that the two can be compared on the same rows.

It sees a few rows of every n-th example: those taken up and a handful of the others, weighted for those left out.
Champion and challenger are scored on just these rows, before either learns from them, by River's own metrics. The
challenger decides nothing, and is no part of any digest. Only the trainer's process makes one: importing River takes
seconds.
"""

from __future__ import annotations

import io
import logging
import pickle
from typing import TYPE_CHECKING, Any, Final

from streamer.core.models.registry import FEATURE_NAMES, FEATURES_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streamer.core.models.example import Example
    from streamer.core.models.model import Floats

log = logging.getLogger(__name__)

MAX_SNAPSHOT_BYTES: Final = 1 << 20
_FORMAT: Final = 1
_PLAIN: Final = frozenset(
    {
        "bool",
        "bytearray",
        "bytes",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "object",
        "range",
        "set",
        "slice",
        "str",
        "tuple",
    }
)
_CLIP: Final = 1e-4
"""A tree's leaf may be certain of what it has only not seen yet; log loss should not pay without bound."""


def scaled_logistic() -> Any:
    """The challenger unless told otherwise: River's textbook pipeline, features scaled as they come.

    On the log it was chosen on it beat Hoeffding trees, naive Bayes and a Mondrian forest, in AUC and in cost.
    """
    from river import linear_model, optim, preprocessing

    return preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.AdaGrad(0.1))


class Challenger:
    """A River classifier with its metrics and the champion's, on the same rows.

    ``every``: it learns from each so-manieth example; ``negatives`` (at least 1): and of that from at most so many rows
    that were not taken up. ``make`` makes the classifier; any of River's will do whose snapshot stays within
    ``max_bytes``. ``resets`` counts how often it had to begin anew because it did not.
    """

    def __init__(
        self,
        names: Sequence[str] = FEATURE_NAMES,
        *,
        every: int = 4,
        negatives: int = 3,
        make: Callable[[], Any] = scaled_logistic,
        max_bytes: int = MAX_SNAPSHOT_BYTES,
        features_id: int = FEATURES_ID,
    ) -> None:
        from river import metrics

        self._names, self._make, self._features_id = tuple(names), make, features_id
        self._every, self._negatives, self._max_bytes = every, negatives, max_bytes
        self._model = make()
        self._takes_weights = _takes_weights(self._model)
        self._seen = 0
        self.examples = self.rows = self.resets = 0
        # The rolling AUC is exact over its window; River's other one has its thresholds where rare events never score.
        self._logloss = {who: metrics.LogLoss() for who in ("champion", "challenger")}
        self._auc = {who: metrics.RollingROCAUC(window_size=2000) for who in ("champion", "challenger")}

    def learn(self, example: Example, champion: Floats) -> None:
        """Score both on the example's rows, then learn. ``champion``: its probabilities [m] for the example's rows."""
        self._seen += 1
        if (self._seen - 1) % self._every or example.features_id != self._features_id:
            return
        self.examples += 1
        for at, x, y, w in self._few(example):
            p = self._model.predict_proba_one(x).get(True, 0.5)
            self._score("challenger", y, p, w)
            self._score("champion", y, float(champion[at]), w)
            if self._takes_weights:
                self._model.learn_one(x, y, w=w)
            else:
                self._model.learn_one(x, y)
            self.rows += 1

    def _few(self, example: Example) -> Iterator[tuple[int, dict[str, float], bool, float]]:
        """The rows learned from: index, features by name, label, weight."""
        features, weights = example.features().T.tolist(), example.sampling_weights().tolist()
        positives = [at for at, mark in enumerate(example.labels) if mark]
        negatives = [at for at, mark in enumerate(example.labels) if not mark]
        # Even strides from a start that the event draws: a fixed start would always take what was proposed first.
        stride = max(1, -(-len(negatives) // self._negatives))
        kept = negatives[example.fingerprint % stride :: stride]
        stretch = len(negatives) / len(kept) if kept else 0.0
        for at in positives[: self._negatives + 1]:
            scale = len(positives) / min(len(positives), self._negatives + 1)
            yield at, dict(zip(self._names, features[at], strict=True)), True, weights[at] * scale
        for at in kept:
            yield at, dict(zip(self._names, features[at], strict=True)), False, weights[at] * stretch

    def _score(self, who: str, y: bool, p: float, w: float) -> None:  # noqa: FBT001 - River's order
        clipped = min(max(p, _CLIP), 1.0 - _CLIP)
        self._logloss[who].update(y, clipped, w)
        self._auc[who].update(y, clipped)

    def metrics(self) -> dict[str, float]:
        """River's log loss and ROC AUC of the challenger, and (``champion_``) of the champion on the same rows."""
        return {
            "logloss": float(self._logloss["challenger"].get()),
            "auc": float(self._auc["challenger"].get()),
            "champion_logloss": float(self._logloss["champion"].get()),
            "champion_auc": float(self._auc["champion"].get()),
            "examples": float(self.examples),
            "resets": float(self.resets),
        }

    def snapshot(self) -> bytes:
        """The classifier, pickled, at most ``max_bytes``; one that outgrew them begins anew, loudly."""
        value = self._pickled()
        if len(value) > self._max_bytes:
            log.error(
                "the challenger's snapshot has %d bytes, the limit is %d: it begins anew", len(value), self._max_bytes
            )
            self._model = self._make()
            self.resets += 1
            value = self._pickled()
        return value

    def _pickled(self) -> bytes:
        kept = (_FORMAT, self._features_id, self._model, self.examples, self.rows, self.resets)
        return pickle.dumps(kept, protocol=5)

    def restore(self, snapshot: bytes) -> bool:
        """Go on from a snapshot of this program's own table; ``False``, and it begins anew, if it does not fit.

        Never to be given bytes from anywhere else: unpickling runs code.
        """
        try:
            form, features_id, model, examples, rows, resets = _Unpickler(io.BytesIO(snapshot)).load()
        except Exception:  # a pickle of another version can raise anything
            log.exception("the challenger's snapshot cannot be read: it begins anew")
            return False
        if form != _FORMAT or features_id != self._features_id:
            log.error("the challenger's snapshot is of another feature list or format: it begins anew")
            return False
        self._model, self.examples, self.rows, self.resets = model, examples, rows, resets
        self._takes_weights = _takes_weights(model)
        return True


class _Unpickler(pickle.Unpickler):
    """Loads classes of River, numpy and the standard containers only: a second lock behind "our own tables"."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] in {"river", "numpy", "collections", "functools", "datetime"}:
            return super().find_class(module, name)
        if (module == "builtins" and name in _PLAIN) or (module, name) == ("random", "Random"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a River model")


def _takes_weights(model: Any) -> bool:
    """Whether ``learn_one`` may be told a weight; a pipeline may, and hands it to those of its steps that want it."""
    import inspect

    parameters = inspect.signature(model.learn_one).parameters.values()
    return any(p.name == "w" or p.kind is p.VAR_KEYWORD for p in parameters)
