"""A push that is expected to bring less than it costs is not sent, but for a few, to find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import FinalRule

if TYPE_CHECKING:
    from streamer.core.policy.proposal import Proposal
    from streamer.core.settings import PolicySettings


def refuses(proposal: Proposal, settings: PolicySettings) -> bool:
    """It is worth less than the least, and not one of those that are tried."""
    return proposal.worth < settings.least_worth and not proposal.tried


RULE = FinalRule("not_worth_it", "it would cost more than it brings", refuses)
