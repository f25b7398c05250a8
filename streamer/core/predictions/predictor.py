"""What a predictor is: a question about what a shopper does next, its features, and how its answer is known.

A predictor looks at a profile as of one moment and describes its *rows*: one for a question of yes or no, one for each
choice otherwise. A logistic model gives each row the probability that it comes true. What comes true is told by the
shopper's later events (``hears``) or, if nothing is heard, by their silence.

To add one: a file in this folder and its line in ``registry.py``; the contract tests run over the registry, and the
pending table, the trainer, ``evaluate`` and ``inspect`` take it from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from streamer.core.models.model import features_id

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.events import Event
    from streamer.core.prediction_settings import PredictionSettings
    from streamer.core.profile import Profile
    from streamer.core.settings import ProfileSettings

NONE_OF_THEM: Final = -1
"""The outcome in which no row came true."""

UNKNOWN: Final = -2
"""It will never be known: nothing is learned."""

ALWAYS: Final = "always"

YES_OR_NO: Final = (0,)
"""The keys of a question without choices."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One value of a row. ``prior``: its weight before anything was learned, in log-odds per unit."""

    name: str
    unit: str
    prior: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A shopper as of one of their events: the profile with that event in it, ``now_ms`` its time."""

    profile: Profile
    now_ms: int
    settings: PredictionSettings
    profiles: ProfileSettings


Rows = tuple[tuple[int, ...], list[list[float]]]
"""The key of each row (``YES_OR_NO``, or a category, …), and each row's features, all finite and about unit size."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of the shopper after the moment. ``before``: the profile just before it, ``new_visit``: it begins one.

    ``in_time``: it came before the silence was long enough. ``keys``: of the moment's rows.
    """

    event: Event
    before: Profile | None
    new_visit: bool
    in_time: bool
    keys: Sequence[int]


@dataclass(frozen=True, slots=True)
class Predictor:
    """A question. ``name`` names it everywhere; ``says`` is what its probability is of, in words.

    ``bias``: the log-odds of a row whose features are all 0, before anything was learned. ``rows`` describes a moment,
    without rows there is no prediction. ``waits``: the silence, milliseconds, that ends the waiting; what then is
    true is ``silence``. ``hears``: the outcome an event tells of, a place in ``Heard.keys`` or ``NONE_OF_THEM`` or
    ``UNKNOWN``, and ``None`` if it tells of none yet.

    ``once_a_visit``: one moment of a visit is taken, each with the same chance, and its outcome is learned when the
    waiting is over, whatever it is and however early it was known: else what is known early (they bought) would be
    learned from before what takes long (they did not). Otherwise any event may be a moment, and is learned from as soon
    as its outcome is known. ``choices``: whether the rows are choices, of which the likeliest is of interest.
    ``rate``: so much of the rate in the settings, where there are outcomes in plenty.
    """

    name: str
    says: str
    features: tuple[Feature, ...]
    bias: float
    rows: Callable[[Moment], Rows]
    waits: Callable[[Moment], int]
    hears: Callable[[Heard], int | None]
    silence: int
    once_a_visit: bool
    choices: bool = False
    rate: float = 1.0

    names: tuple[str, ...] = field(init=False)
    """Of its features. The first is always 1, so that the intercept is learned like a weight."""
    features_id: int = field(init=False)
    """The identity of its list of features."""

    def __post_init__(self) -> None:
        # Kept, as events ask for them; a frozen dataclass lets itself be filled in no other way.
        names = (ALWAYS, *(feature.name for feature in self.features))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "features_id", features_id((self.name, *names)))

    @property
    def priors(self) -> list[float]:
        """Of its features."""
        return [0.0, *(feature.prior for feature in self.features)]

    def describe(self, moment: Moment) -> Rows:
        """The rows of a moment, with the constant in front."""
        keys, rows = self.rows(moment)
        return keys, [[1.0, *row] for row in rows]
