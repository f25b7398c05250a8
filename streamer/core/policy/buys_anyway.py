"""A coupon to somebody who buys without it is money given away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import FinalRule

if TYPE_CHECKING:
    from streamer.core.policy.proposal import Proposal
    from streamer.core.settings import PolicySettings


def refuses(proposal: Proposal, _settings: PolicySettings) -> bool:
    """There is a coupon, and the shopper is as likely to buy without it as the campaign says is too likely."""
    coupon, expected = proposal.case.campaign.coupon, proposal.expected
    return coupon is not None and expected is not None and expected.anyway > coupon.anyway_at_most


RULE = FinalRule("buys_anyway", "the shopper is likely to buy without the coupon", refuses)
