"""What cannot be had is not offered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, _case: Case, _settings: PolicySettings) -> bool:
    """The catalog says that there is none left."""
    return not offer.in_stock


RULE = ItemRule("out_of_stock", "the item is out of stock", refuses)
