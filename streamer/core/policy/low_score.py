"""What is unlikely to be wanted is not worth a shopper's attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, case: Case, settings: PolicySettings) -> bool:
    """The score is below the campaign's threshold, or below the policy's if it has none of its own; for a shopper who
    is tired of pushes either is greater.
    """
    least = case.campaign.listing.least_score
    return offer.score < (settings.score_threshold if least is None else least) * case.price


RULE = ItemRule("low_score", "no item scores high enough", refuses)
