"""An item is pushed once in a while; but what a shopper did with it, or news of it, is no repetition of a proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, case: Case, settings: PolicySettings) -> bool:
    """The item was in a push within the window: of any campaign, or of this one if it is about its own items. A push
    that never reached the shopper showed nothing.
    """
    since, campaign, failed = case.now_ms - settings.repeat_window_ms, case.campaign, case.standing.failed_marks
    own = campaign.name if campaign.listing.source == "trigger" else None
    return any(
        offer.key in push.items and push.mark not in failed
        for push in case.sent
        if push.time_ms > since and own in {None, push.campaign}
    )


RULE = ItemRule("repeat", "the item was pushed not long ago", refuses)
