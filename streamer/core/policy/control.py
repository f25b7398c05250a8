"""Some shoppers are left alone by a campaign, so that it can be told what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.groups import controls
from streamer.core.policy.rule import FinalRule

if TYPE_CHECKING:
    from streamer.core.policy.proposal import Proposal
    from streamer.core.settings import PolicySettings


def refuses(proposal: Proposal, settings: PolicySettings) -> bool:
    """The shopper is of the campaign's control group."""
    campaign = proposal.case.campaign
    return controls(proposal.ask.event.user, campaign.name, campaign.control_share, settings.groups_seed)


RULE = FinalRule("control", "the shopper is of the campaign's control group, to compare with", refuses, ghost=True)
