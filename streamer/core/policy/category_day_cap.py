"""At most so many pushes with an item of one category in any 24 hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule
from streamer.core.settings import DAY_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, case: Case, settings: PolicySettings) -> bool:
    """The 24 hours up to now hold as many pushes of the item's category as allowed. One of no category is free."""
    if not settings.category_per_day or not offer.category:
        return False
    since = case.now_ms - DAY_MS
    had = sum(offer.category in push.categories for push in case.sent if push.time_ms > since)
    return had >= settings.category_per_day


RULE = ItemRule("category_day_cap", "the shopper has had the pushes of this category for a day", refuses)
