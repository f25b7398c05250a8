"""All rules, in the order they are asked. A new rule is a file in this folder and its line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.policy import (
    audience,
    bought,
    buys_anyway,
    campaign_cap,
    category_day_cap,
    channel,
    consent,
    control,
    day_cap,
    dismissed,
    expired,
    holdout,
    hour_cap,
    low_score,
    min_gap,
    no_gain,
    not_sampled,
    not_worth_it,
    out_of_order,
    out_of_stock,
    over_budget,
    quiet_hours,
    repeat,
    week_cap,
)

if TYPE_CHECKING:
    from streamer.core.policy.rule import CheapRule, FinalRule, ItemRule, Rule

CHEAP_RULES: Final[tuple[CheapRule, ...]] = (
    consent.RULE,
    channel.RULE,
    out_of_order.RULE,
    expired.RULE,
    audience.RULE,
    quiet_hours.RULE,
    min_gap.RULE,
    hour_cap.RULE,
    day_cap.RULE,
    week_cap.RULE,
    campaign_cap.RULE,
    not_sampled.RULE,
)
ITEM_RULES: Final[tuple[ItemRule, ...]] = (
    bought.RULE,
    out_of_stock.RULE,
    repeat.RULE,
    dismissed.RULE,
    category_day_cap.RULE,
    low_score.RULE,
)
FINAL_RULES: Final[tuple[FinalRule, ...]] = (
    buys_anyway.RULE,
    no_gain.RULE,
    not_worth_it.RULE,
    over_budget.RULE,
    holdout.RULE,
    control.RULE,
)
"""Asked in this order of what would be sent; those that hold back to compare with come last. The control group of a
campaign is of those who may be pushed at all, like those that it is compared with.
"""

SENT: Final = "sent"
NO_CANDIDATES: Final = "no_candidates"
OUTBID: Final = "outbid"
RULES: Final[tuple[Rule, ...]] = (*CHEAP_RULES, *ITEM_RULES, *FINAL_RULES)

REASONS: Final[dict[str, str]] = {
    SENT: "a push was sent",
    NO_CANDIDATES: "no push, as no generator proposed an item",
    OUTBID: "no push, as another campaign's was worth more at the same moment",
    **{rule.name: f"no push, as {rule.says}" for rule in RULES},
}
"""Every reason a decision can carry, in words."""
