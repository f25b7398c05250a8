"""What is unlikely to be wanted is not worth a shopper's attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, _case: Case, settings: PolicySettings) -> bool:
    """The score is below the threshold."""
    return offer.score < settings.score_threshold


RULE = ItemRule("low_score", "no item scores high enough", refuses)
