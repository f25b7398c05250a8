"""A candidate that would be out of date when it arrives is not made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def expiry_ms(case: Case, settings: PolicySettings) -> int:
    """How long a candidate holds, from its event or from when its timer was due."""
    return case.campaign.message.expires_after_ms or settings.expiry_ms


def refuses(case: Case, settings: PolicySettings) -> bool:
    """Stream time has passed the expiry that the candidate would have."""
    return case.time_ms + expiry_ms(case, settings) <= case.now_ms


RULE = CheapRule("expired", "it happened too long ago", refuses)
