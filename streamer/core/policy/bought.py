"""What a shopper has is not offered again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, case: Case, _settings: PolicySettings) -> bool:
    """The item is among those the shopper bought."""
    return offer.key in case.bought


RULE = ItemRule("bought", "the item was bought", refuses)
