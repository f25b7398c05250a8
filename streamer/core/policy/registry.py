"""All rules, in the order they are asked. A new rule is a file in this folder and its line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.policy import (
    bought,
    channel,
    consent,
    day_cap,
    expired,
    hour_cap,
    low_score,
    min_gap,
    not_sampled,
    out_of_order,
    out_of_stock,
    quiet_hours,
    repeat,
)

if TYPE_CHECKING:
    from streamer.core.policy.rule import CheapRule, ItemRule, Rule

CHEAP_RULES: Final[tuple[CheapRule, ...]] = (
    consent.RULE,
    channel.RULE,
    out_of_order.RULE,
    expired.RULE,
    quiet_hours.RULE,
    min_gap.RULE,
    hour_cap.RULE,
    day_cap.RULE,
    not_sampled.RULE,
)
ITEM_RULES: Final[tuple[ItemRule, ...]] = (bought.RULE, out_of_stock.RULE, repeat.RULE, low_score.RULE)

SENT: Final = "sent"
NO_CANDIDATES: Final = "no_candidates"
RULES: Final[tuple[Rule, ...]] = (*CHEAP_RULES, *ITEM_RULES)

REASONS: Final[dict[str, str]] = {
    SENT: "a push was sent",
    NO_CANDIDATES: "no push, as no generator proposed an item",
    **{rule.name: f"no push, as {rule.says}" for rule in RULES},
}
"""Every reason a decision can carry, in words."""
