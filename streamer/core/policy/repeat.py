"""An item is pushed once in a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, case: Case, settings: PolicySettings) -> bool:
    """The item was in a push within the window."""
    since = case.now_ms - settings.repeat_window_ms
    return any(offer.key in push.items for push in case.sent if push.time_ms > since)


RULE = ItemRule("repeat", "the item was pushed not long ago", refuses)
