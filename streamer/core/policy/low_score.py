"""What is unlikely to be wanted is not worth a shopper's attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import ItemRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


def refuses(offer: Offer, case: Case, settings: PolicySettings) -> bool:
    """The score is below the campaign's threshold, or below the policy's if it has none of its own; for a shopper who
    is tired of pushes either is greater, and by as much as the policy's at least: of a campaign that asks for nothing,
    a multiple would be nothing.
    """
    least, usual = case.campaign.listing.least_score, settings.score_threshold
    return offer.score < max((usual if least is None else least) * case.price, usual * (case.price - 1.0))


RULE = ItemRule("low_score", "no item scores high enough", refuses)
