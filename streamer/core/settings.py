"""What the core can be told: frozen settings, one class a stage, units in the names."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from typing import Final, Literal

from streamer.core.campaigns.campaign import NEXT, Campaign
from streamer.core.learning_settings import LearningSettings
from streamer.core.parse import Limits
from streamer.core.policy.experiments import Experiment  # noqa: TC001 -- settings are read by the types of their fields
from streamer.core.prediction_settings import PredictionSettings
from streamer.core.retrieval_settings import ItemSettings, RetrievalSettings
from streamer.core.segment_settings import SegmentSettings
from streamer.core.timer_settings import TimerSettings
from streamer.core.uplift_settings import UpliftSettings
from streamer.core.vector_settings import VectorSettings
from streamer.core.zones import minute_of

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS

MOST_ITEMS: Final = 20
"""A candidate has 3,584 bytes and its ids are never cut: so many fit if they have 36 bytes, as UUIDs have."""

_LEAST: Final = {
    "per_hour": 0,
    "per_day": 0,
    "per_week": 0,
    "category_per_day": 0,
    "dismissal_doublings": 0,
    "fatigue_bits": 0,
    "fatigue_most_bits": 0,
    "score_threshold": 0,  # what is read is at most 1 (settings_values.py); in code, nothing reaches more
    "expiry_ms": 1,
    "slate_items": 1,
    "pool_items": 1,
    "explore_items": 1,
    "diversity_bits": 0,
    "category_cap": 0,
}
# Half an hour doubled 20 times is 60 years: more is a slip, and pushes are remembered for as long.
_MOST: Final = {"dismissal_doublings": 20, "slate_items": MOST_ITEMS}
_SHARES: Final = ("explore_share", "log_alternatives", "try_share", "holdout_share")
_LINKED: Final = {"item": "sku-1", "campaign": "next"}


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """How a shopper is remembered.

    ``recent_items``, ``affinities`` (categories and brands, each), ``searches``, ``purchased``: how many are kept.
    ``interest_half_life_ms``: of the interest in one item; ``affinity_half_life_ms``: in a category or a brand.
    ``session_gap_ms``: a longer silence begins a new session. ``price_memory``: the price mean and variance forget
    what is further back than about this many prices. ``search_chars``: a longer search is cut.
    ``allowed_lateness_ms``: an event older than its user's newest by more than this is dropped as late.
    ``hour_visits``: of the hours of the day (UTC) at which a shopper is there; when one has more visits (255 at most)
    all are halved, so that old habits fade.
    """

    recent_items: int = 32
    affinities: int = 12
    searches: int = 8
    search_chars: int = 64
    purchased: int = 512
    interest_half_life_ms: int = 2 * DAY_MS
    affinity_half_life_ms: int = 14 * DAY_MS
    session_gap_ms: int = 30 * MINUTE_MS
    price_memory: int = 32
    allowed_lateness_ms: int = 7 * DAY_MS
    hour_visits: int = 32


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """When a push may be sent. Any change of these changes ``policy_version``.

    ``require_consent``: without a yes in the preferences nothing is sent; otherwise only a no forbids it.
    ``per_hour``, ``per_day`` (0: none are sent), ``per_week`` (0: no cap): pushes to one user in any window of that
    length.
    ``category_per_day``: so many of them with an item of one category, in any 24 hours (0: no cap).
    ``min_gap_ms``: between two pushes, doubled by each dismissal since the last click, ``dismissal_doublings`` times at
    most (20 at the most). ``quiet_hours``: local times from and until, such as `22:00,08:00`, of shoppers who said
    nothing of quiet hours; ``time_zone``, a name or an offset, of those who named none.
    ``repeat_window_ms``: an item pushed is not pushed again within it, one that was dismissed not within
    ``dismissed_window_ms``. ``fatigue_bits``: each push that was dismissed since the last click, or was neither opened
    nor clicked within ``ignored_after_ms``, which counts for a week, makes the threshold so many times two greater,
    ``fatigue_most_bits`` in all. ``holdout_share``: of the shoppers so many, drawn by a hash with ``groups_seed``, are
    pushed nothing, to compare with; campaigns draw their control groups by it too. ``rank_by``: items are put in order
    by the model that is served; in an experiment's arm also by how popular they are, or by the model of a kind that is
    the champion's or among ``core.learning.challengers`` (until its first block is read, by the one that is served).
    ``worth_by``: what a push is worth is the money it is expected to bring (``core.uplift``), or the score of its first
    item; of several that compete the one that is worth most is sent, and none that is worth less than ``least_worth``,
    but for ``try_share`` of those, drawn by a hash, without which nobody would learn when they are worth it again.
    ``score_threshold``: the least probability worth a push, from 0 to 1. ``expiry_ms``: a candidate holds this long
    from its event on, and an event older than that triggers none; at least 1.
    ``rank_rate``: the share of triggers, drawn by a seeded hash, that are ranked at all. ``slate_items``: items shown
    in one push, at most, from 1 to 20: a candidate's 3,584 bytes hold 20 ids of 36 bytes, as UUIDs have, and three
    of 256, the limit of an id; of more with long ids, as many are shown as it holds. ``pool_items``: how far down the
    ranking to look for them, at least 1.
    ``explore_share``: the share of pushes, drawn by a hash of the event, whose first item is not the best but one of
    the best ``explore_items`` that pass the rules, each with the probability that it is the best of them. Where that
    is drawn, the share ``log_alternatives`` of the decisions, by a hash of their own, logs all that could have been.
    ``diversity_bits``: what an item just like one already shown must have the odds of twice over, so many times, to
    be shown all the same; 0 takes no notice. ``category_cap``: so many items of a category in one push; 0 for any.
    ``deep_link``: a template, ``{item}`` is the first item, percent-encoded, and ``{campaign}`` the campaign; there is
    no other placeholder, and a brace that is meant as one is written twice.
    """

    require_consent: bool = False
    quiet_hours: tuple[str, ...] = ()
    time_zone: str = "UTC"
    per_hour: int = 1
    per_day: int = 4
    per_week: int = 0
    category_per_day: int = 0
    min_gap_ms: int = 30 * MINUTE_MS
    dismissal_doublings: int = 6
    repeat_window_ms: int = WEEK_MS
    dismissed_window_ms: int = 30 * DAY_MS
    fatigue_bits: float = 0.25
    fatigue_most_bits: float = 3.0
    ignored_after_ms: int = DAY_MS
    holdout_share: float = 0.0
    groups_seed: int = 1
    rank_by: Literal["model", "popularity", "logistic", "listwise", "ftrl", "fm"] = "model"
    worth_by: Literal["uplift", "score"] = "uplift"
    least_worth: float = 0.0
    try_share: float = 0.02
    score_threshold: float = 0.02
    expiry_ms: int = HOUR_MS
    rank_rate: float = 1.0
    slate_items: int = 3
    pool_items: int = 50
    explore_share: float = 0.0
    explore_items: int = 10
    log_alternatives: float = 1.0
    diversity_bits: float = 0.0
    category_cap: int = 0
    deep_link: str = "shop://item/{item}?campaign={campaign}"
    locale: str = "en"

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        given = {name: getattr(self, name) for name in (*_SHARES, *_LEAST)}
        problems = [
            f"{name} is a share, from 0 to 1, not {given[name]}" for name in _SHARES if not 0 <= given[name] <= 1
        ]
        problems += [
            f"{name} must be at least {least}, not {given[name]}"
            for name, least in _LEAST.items()
            if not given[name] >= least
        ]
        problems += [
            f"{name} must be at most {most}, not {given[name]}" for name, most in _MOST.items() if given[name] > most
        ]
        try:
            _quiet_minutes(self.quiet_hours)
        except ValueError as exc:
            problems.append(f"quiet_hours: {exc}: write two local times, as 22:00,08:00, or none")
        if problem := _unlinkable(self.deep_link):
            way_out = "write {item} and {campaign}, and a brace that is meant as one twice"
            problems.append(f"deep_link = {self.deep_link!r}: {problem}: {way_out}")
        if problems:
            raise ValueError("\n".join(problems))

    @property
    def quiet_minutes(self) -> tuple[int, int] | None:
        """``quiet_hours`` as minutes of the local day; ``None`` without them."""
        return _quiet_minutes(self.quiet_hours)

    @property
    def best_first(self) -> bool:
        """Whether a push shows the best items that pass, in the order of their ranks."""
        return not (self.explore_share or self.diversity_bits or self.category_cap)


@cache
def _quiet_minutes(hours: tuple[str, ...]) -> tuple[int, int] | None:
    if not hours:
        return None
    if len(hours) != 2:
        raise ValueError(f"{len(hours)} of them")
    return minute_of(hours[0]), minute_of(hours[1])


def _unlinkable(template: str) -> str | None:
    """Why no link can be made of a template of links."""
    try:
        for _, name, form, _ in Formatter().parse(template):
            if name is not None and (name not in _LINKED or "{" in (form or "")):
                return f"there is no {{{name}:{form}}}" if form else f"there is no {{{name}}}"
        template.format_map(_LINKED)
    except ValueError as exc:
        return str(exc)
    return None


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """All of the core's settings. ``seed`` is of every hash that draws a sample.

    ``campaigns`` and ``experiments``: those that are on, read from their files.
    """

    seed: int = 1
    limits: Limits = field(default_factory=Limits)
    profile: ProfileSettings = field(default_factory=ProfileSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    learning: LearningSettings = field(default_factory=LearningSettings)
    retrieval: RetrievalSettings = field(default_factory=RetrievalSettings)
    predictions: PredictionSettings = field(default_factory=PredictionSettings)
    vectors: VectorSettings = field(default_factory=VectorSettings)
    segments: SegmentSettings = field(default_factory=SegmentSettings)
    timers: TimerSettings = field(default_factory=TimerSettings)
    uplift: UpliftSettings = field(default_factory=UpliftSettings)
    campaigns: tuple[Campaign, ...] = field(default=(NEXT,), metadata={"elsewhere": True})
    experiments: tuple[Experiment, ...] = field(default=(), metadata={"elsewhere": True})

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be together."""
        learned = {self.learning.model, *self.learning.challengers}
        if unknown := self.ranking - learned:
            raise ValueError(
                f"policy.rank_by: {', '.join(sorted(unknown))} is not learned: name it in core.learning.challengers"
            )

    @property
    def ranking(self) -> frozenset[str]:
        """The kinds of models that the policy or an arm names to rank by."""
        arms = [arm.changes for experiment in self.experiments for arm in experiment.arms]
        named = [self.policy.rank_by, *(value for changes in arms for name, value in changes if name == "rank_by")]
        return frozenset(named) - {"model", "popularity"}

    @property
    def items(self) -> ItemSettings:
        """How items are counted: the same half-lives that retrieval reads them with."""
        return self.retrieval.items
