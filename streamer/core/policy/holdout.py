"""Some shoppers are pushed nothing, so that it can be told what pushes bring in all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.groups import held_out
from streamer.core.policy.rule import FinalRule

if TYPE_CHECKING:
    from streamer.core.policy.proposal import Proposal
    from streamer.core.settings import PolicySettings


def refuses(proposal: Proposal, settings: PolicySettings) -> bool:
    """The shopper is of the holdout."""
    return held_out(proposal.ask.event.user, settings.holdout_share, settings.groups_seed)


RULE = FinalRule("holdout", "the shopper is of those who are pushed nothing, to compare with", refuses, ghost=True)
