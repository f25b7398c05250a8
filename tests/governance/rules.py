"""What a run was to keep to, in the numbers of whoever set it up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Windows = tuple[tuple[int, int], ...]
"""(pushes, milliseconds): at most so many in any window that long."""


@dataclass(frozen=True)
class Experiment:
    """``arms``: by name, the share of the shoppers, in the order in which they are drawn."""

    name: str
    arms: Mapping[str, float]
    salt: str = ""


@dataclass(frozen=True)
class Audience:
    """For whom a campaign is, as far as the checker can tell: ``purchases`` and ``visits`` are bounds, None for no
    upper one; ``tags``: one of them at least, ``without_tags``: none; ``categories``: something was done with one of
    them.
    """

    tags: frozenset[str] = frozenset()
    without_tags: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    purchases: tuple[int, int | None] = (0, None)
    visits: tuple[int, int | None] = (0, None)


@dataclass(frozen=True)
class Rules:
    """What is asked of every push; 0, None or nothing asks for nothing, but for the 0 of a cap, which allows none.

    ``caps``: to one shopper; ``campaign_caps``: the same by campaign; ``category_caps``: for each category of the items
    shown. ``gap_ms``: between two pushes, doubled by each dismissal since the last click, ``doublings`` times at most.
    ``repeat_ms``: an item is not shown again within it, by one of the campaigns ``singled_out`` not after a push of its
    own (they show what the shopper's own acts or news singled out), by others after any; ``dismissed_ms``: nor within
    this of a push with it that was dismissed. ``again``: campaigns that may show what was bought. ``must_consent``:
    silence is a no. ``quiet_hours`` and ``time_zone``: of shoppers who said nothing of them.

    ``coupons``: by campaign, what its coupon costs in cents (None: that depends on the item), and what those of a day
    (UTC) and all of them may cost together. ``priorities``: by campaign, which goes first of two that are worth the
    same, the greater; 0 for others. ``expiry_ms``: how long a candidate holds from its event or from when its timer was
    due, ``expiries``: of campaigns that say so themselves.

    ``score_threshold``: the least score, ``least_scores``: of campaigns that say so themselves; ``fatigue_bits`` and
    ``fatigue_most_bits``: by how many times two a push dismissed or ignored (for ``ignored_ms``) makes it greater, and
    all of them at most. ``worth_by``: "score" or "uplift", "" if nobody knows; ``least_worth``: what is worth less is
    sent by the share ``try_share`` only. ``in_turn``: campaigns of which an event arms one timer after the other, each
    drawn by a name of its own, which no topic tells. ``rank_rate``: the share of events that may lead to a push, by
    ``seed``.

    ``at_once``: by event type, campaigns that decide with the event; ``audiences``: by campaign. ``lateness_ms``: what
    is older than the shopper's newest event by more is dropped; ``session_gap_ms``: a longer silence begins a visit.

    ``holdout_share`` and ``control_shares`` (by campaign): the shares of those who are held back, drawn by
    ``groups_seed``; None: nobody knows, and it is as decisions tell. ``experiments``: those that are on;
    ``by_arms``: the rules of the shoppers of each combination of arms, in the order of the experiments, where they
    are others than these.
    """

    caps: Windows = ()
    campaign_caps: Mapping[str, Windows] = field(default_factory=dict)
    category_caps: Windows = ()
    gap_ms: int = 0
    doublings: int = 0
    repeat_ms: int = 0
    dismissed_ms: int = 0
    again: frozenset[str] = frozenset()
    singled_out: frozenset[str] = frozenset()
    must_consent: bool = False
    quiet_hours: tuple[str, ...] = ()
    time_zone: str = "UTC"
    coupons: Mapping[str, tuple[int | None, int, int]] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)
    expiry_ms: int = 0
    expiries: Mapping[str, int] = field(default_factory=dict)
    score_threshold: float = 0.0
    least_scores: Mapping[str, float] = field(default_factory=dict)
    fatigue_bits: float = 0.0
    fatigue_most_bits: float = 0.0
    ignored_ms: int = 0
    worth_by: str = ""
    least_worth: float | None = None
    try_share: float = 0.0
    in_turn: frozenset[str] = frozenset()
    rank_rate: float = 1.0
    seed: int = 1
    at_once: Mapping[str, frozenset[str]] = field(default_factory=dict)
    audiences: Mapping[str, Audience] = field(default_factory=dict)
    lateness_ms: int = 7 * 86_400_000
    session_gap_ms: int = 30 * 60_000
    holdout_share: float | None = None
    control_shares: Mapping[str, float] | None = None
    groups_seed: int = 1
    experiments: tuple[Experiment, ...] = ()
    by_arms: Mapping[tuple[str, ...], Rules] = field(default_factory=dict)

    def of(self, arms: tuple[str, ...]) -> Rules:
        """Those of a shopper who is in these arms."""
        return self.by_arms.get(arms, self)
