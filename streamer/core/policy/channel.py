"""Nothing is sent where the shopper does not want to be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, _settings: PolicySettings) -> bool:
    """None of the campaign's channels is among those the shopper chose."""
    return case.campaign.channel(case.standing.channels) is None


RULE = CheapRule("channel", "the shopper takes none of the campaign's channels", refuses)
