"""The models there are. A new one is a file in this folder and a line in ``MODELS``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from streamer.core.features import FEATURES
from streamer.core.models import fm, ftrl, listwise, logistic
from streamer.core.models.model import CHAMPION, ModelRefused, decode_block, features_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.model import Learner, Model


class Kind(NamedTuple):
    """A kind of model.

    ``from_block``: the model of a block and the names of this program's features, or ``ModelRefused``. ``learner``: an
    untaught one of these names, their prior weights and the prior bias, that learns as the settings say.
    """

    from_block: Callable[[bytes, Sequence[str]], Model]
    learner: Callable[[Sequence[str], Sequence[float], float, LearningSettings], Learner]


MODELS: Final = {
    logistic.KIND: Kind(logistic.from_block, logistic.learner),
    listwise.KIND: Kind(listwise.from_block, listwise.learner),
    ftrl.KIND: Kind(ftrl.from_block, ftrl.learner),
    fm.KIND: Kind(fm.from_block, fm.learner),
}
"""By kind, as the settings name it (``learning_settings.KINDS``)."""

FEATURE_NAMES: Final = tuple(feature.name for feature in FEATURES)
FEATURES_ID: Final = features_id(FEATURE_NAMES)

PRIOR_BIAS: Final = -5.0
"""The log-odds of a candidate whose features are all 0: less than one in a hundred."""


def prior_model() -> Model:
    """What ranks before anything was learned: the features' prior weights, version 0."""
    return logistic.Logistic(FEATURE_NAMES, [feature.prior for feature in FEATURES], PRIOR_BIAS)


def learner(kind: str, settings: LearningSettings) -> Learner:
    """An untaught model of that kind over this program's features, from their priors."""
    return MODELS[kind].learner(FEATURE_NAMES, [feature.prior for feature in FEATURES], PRIOR_BIAS, settings)


def decode(key: str, value: bytes) -> Model:
    """The model of a block of topic ``model``; ``ModelRefused`` if it must not be served."""
    kind = MODELS.get(key.removeprefix(CHAMPION))
    if kind is None:
        raise ModelRefused(f"no model of kind {key!r} is known; this program is older than the trainer")
    return kind.from_block(value, FEATURE_NAMES)


def describe(block: bytes) -> dict[str, Any]:
    """A published block for people: kind, version, bias, and the weights by feature name; or ``ModelRefused``."""
    head = decode_block(block)
    model = decode(CHAMPION + head.kind, block)
    weights = getattr(model, "weights", ())
    named = {name: float(weight) for name, weight in zip(FEATURE_NAMES, weights, strict=False)}
    return {"kind": head.kind, "version": head.version, "bias": head.bias, "weights": named}
