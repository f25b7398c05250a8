"""The models there are. A new one is a file in this folder and a line in ``MODELS``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.features import FEATURES
from streamer.core.models import logistic
from streamer.core.models.model import CHAMPION, ModelRefused, features_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.models.model import Model

MODELS: Final[dict[str, Callable[[bytes, Sequence[str]], Model]]] = {
    logistic.KIND: logistic.from_block,
}
"""By kind: what makes a model of a block and the names of this program's features, or raises ``ModelRefused``."""

FEATURE_NAMES: Final = tuple(feature.name for feature in FEATURES)
FEATURES_ID: Final = features_id(FEATURE_NAMES)

PRIOR_BIAS: Final = -5.0
"""The log-odds of a candidate whose features are all 0: less than one in a hundred."""


def prior_model() -> Model:
    """What ranks before anything was learned: the features' prior weights, version 0."""
    return logistic.Logistic(FEATURE_NAMES, [feature.prior for feature in FEATURES], PRIOR_BIAS)


def decode(key: str, value: bytes) -> Model:
    """The model of a block of topic ``model``; ``ModelRefused`` if it must not be served."""
    make = MODELS.get(key.removeprefix(CHAMPION))
    if make is None:
        raise ModelRefused(f"no model of kind {key!r} is known; this program is older than the trainer")
    return make(value, FEATURE_NAMES)
