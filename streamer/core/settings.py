"""What the core can be told: frozen settings, one class a stage, units in the names."""

from __future__ import annotations

from dataclasses import dataclass, field
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

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60 * SECOND_MS
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS


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
    most. ``repeat_window_ms``: an item pushed is not pushed again within it, one that was dismissed not within
    ``dismissed_window_ms``. ``fatigue_bits``: each push that was dismissed since the last click, or was neither opened
    nor clicked within ``ignored_after_ms``, makes the threshold so many times two greater, ``fatigue_most_bits`` in
    all. ``holdout_share``: of the shoppers so many, drawn by a hash with ``groups_seed``, are pushed nothing, to
    compare with; campaigns draw their control groups by it too. ``rank_by``: items are put in order by the model, or
    by how popular they are, as an experiment's arm to compare with. ``worth_by``: what a push is worth is the money it
    is expected to bring (``core.uplift``), or the score of its first item; of several that compete the one that is
    worth most is sent, and none that is worth less than ``least_worth``, but for ``try_share`` of those, drawn by a
    hash, without which nobody would learn when they are worth it again. ``score_threshold``: the least probability
    worth a push. ``expiry_ms``: a candidate holds this long from its event on, and an event older than that triggers
    none.
    ``rank_rate``: the share of triggers, drawn by a seeded hash, that are ranked at all. ``slate_items``: items shown
    in one push, at most; ``pool_items``: how far down the ranking to look for them.
    ``explore_share``: the share of pushes, drawn by a hash of the event, whose first item is not the best but one of
    the best ``explore_items`` that pass the rules, each with the probability that it is the best of them. Where that
    is drawn, the share ``log_alternatives`` of the decisions, by a hash of their own, logs all that could have been.
    ``diversity_bits``: what an item just like one already shown must have the odds of twice over, so many times, to
    be shown all the same; 0 takes no notice. ``category_cap``: so many items of a category in one push; 0 for any.
    ``deep_link``: a template, ``{item}`` is the first item, percent-encoded, and ``{campaign}`` the campaign.
    """

    require_consent: bool = False
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
    rank_by: Literal["model", "popularity"] = "model"
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
        if not 0.0 <= self.explore_share <= 1.0:
            raise ValueError(f"explore_share is a share, from 0 to 1, not {self.explore_share}")
        if not 0.0 <= self.log_alternatives <= 1.0:
            raise ValueError(f"log_alternatives is a share, from 0 to 1, not {self.log_alternatives}")
        if not 0.0 <= self.try_share <= 1.0:
            raise ValueError(f"try_share is a share, from 0 to 1, not {self.try_share}")
        if not 0.0 <= self.holdout_share <= 1.0:
            raise ValueError(f"holdout_share is a share, from 0 to 1, not {self.holdout_share}")
        if self.fatigue_bits < 0 or self.fatigue_most_bits < 0:
            raise ValueError("fatigue_bits and fatigue_most_bits must be at least 0")
        if self.explore_items < 1 or self.diversity_bits < 0 or self.category_cap < 0:
            raise ValueError("explore_items must be at least 1, diversity_bits and category_cap at least 0")

    @property
    def best_first(self) -> bool:
        """Whether a push shows the best items that pass, in the order of their ranks."""
        return not (self.explore_share or self.diversity_bits or self.category_cap)


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

    @property
    def items(self) -> ItemSettings:
        """How items are counted: the same half-lives that retrieval reads them with."""
        return self.retrieval.items
