"""What the checker found: the rules, what broke them, and where."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

RULES: Final = (
    "consent",
    "channel",
    "quiet_hours",
    "audience",
    "cap",
    "campaign_cap",
    "category_cap",
    "min_gap",
    "bought",
    "dismissed",
    "repeat",
    "budget",
    "out_of_stock",
    "low_score",
    "not_worth_it",
    "no_gain",
    "not_sampled",
    "out_of_order",
    "expired",
    "expiry",
    "holdout",
    "control",
    "arm",
    "shares",
    "two_pushes",
    "outbid",
    "missing",
    "surplus",
    "collapse_key",
    "duplicate",
    "propensity",
    "reason",
    "unmatched",
    "out_of_place",
    "clock",
    "news",
)
"""``budget``: a coupon costs another sum than it should, or makes all, or those of a day, cost more than they may.
``expiry``: a candidate holds for another time than it should. ``holdout`` and ``control``: a shopper of the group is
pushed, or one who is not is held back; ``arm``: a decision or a candidate tells another arm of an experiment than its
shopper's, or none; ``shares``: a group or an arm has so few or so many shoppers that chance does not explain it.
``two_pushes``: more than one of what competed was sent or held back; ``outbid``: by nothing, or by what was worth less;
``missing``: a campaign that decides at once with an event did not; ``surplus``: it did twice, or with an event that was
dropped, or that it does not react to.
``collapse_key``: a push would replace another campaign's on the device; ``unmatched``: a decision to send without its
candidate, or the other way; ``out_of_place``: a decision on nothing that the journal folds then; ``clock``: decided at
another time than the task's stream time; ``news``: a push says of the catalog what it has not said, or to who never
wanted the item."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, where, and how."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.where}: {self.what}"


@dataclass
class Verdict:
    """``violations`` in the order found; ``decisions`` and ``pushes`` looked at, and the decisions' ``reasons``.

    ``spent``: cents of coupons, of all tasks, by campaign and day since 1970 (None: in all).
    """

    violations: list[Violation] = field(default_factory=list)
    decisions: int = 0
    pushes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    spent: Counter[tuple[str, int | None]] = field(default_factory=Counter)

    @property
    def counts(self) -> dict[str, int]:
        """By rule, those that were broken."""
        return dict(Counter(violation.rule for violation in self.violations))

    def broke(self, rule: str, where: str, what: str) -> None:
        """A rule was broken there, and how."""
        assert rule in RULES
        self.violations.append(Violation(rule, where, what))
