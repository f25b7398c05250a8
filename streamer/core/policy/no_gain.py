"""A coupon has to bring more than it costs: those who would have bought anyway redeem it too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import FinalRule

if TYPE_CHECKING:
    from streamer.core.policy.proposal import Proposal
    from streamer.core.settings import PolicySettings


def refuses(proposal: Proposal, _settings: PolicySettings) -> bool:
    """There is a coupon, it is not expected to bring a gain, and it is not one of those that are tried."""
    if proposal.case.campaign.coupon is None:
        return False
    return proposal.gain <= 0.0 and not proposal.tried


RULE = FinalRule("no_gain", "nobody knows that the coupon would bring more than it costs", refuses)
