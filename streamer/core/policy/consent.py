"""Nothing is sent to a shopper who said no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, settings: PolicySettings) -> bool:
    """A no, an unsubscription, or no yes where one is required."""
    standing = case.standing
    return standing.opted_out or (settings.require_consent and not standing.consent)


RULE = CheapRule("consent", "the shopper does not allow it", refuses)
