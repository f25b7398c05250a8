"""What a campaign's coupons may cost is bounded, for a day and in all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import FinalRule

if TYPE_CHECKING:
    from streamer.core.policy.proposal import Proposal
    from streamer.core.settings import PolicySettings


def refuses(proposal: Proposal, _settings: PolicySettings) -> bool:
    """Its coupon costs more than what is left of the task's part of the budget."""
    return proposal.coupon_cents > proposal.left_cents


RULE = FinalRule("over_budget", "what is left of the coupons' budget is less than this one may cost", refuses)
