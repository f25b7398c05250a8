"""What a shopper waved away is not brought up again for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, case: Case, settings: PolicySettings) -> bool:
    """The item was in a push that the shopper dismissed, within the window."""
    marks = case.standing.dismissed_marks
    if not marks:
        return False
    since = case.now_ms - settings.dismissed_window_ms
    return any(offer.key in push.items and push.mark in marks for push in case.sent if push.time_ms > since)


RULE = ItemRule("dismissed", "the shopper dismissed a push of it", refuses)
