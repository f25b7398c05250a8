"""What proposals are worth, and the impression that is kept of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.predictions.served import Foresight
from streamer.core.sampling import TRIED, share
from streamer.core.uplift.features import FEATURES_ID, Moment, describe
from streamer.core.uplift.forward import sold_besides
from streamer.core.uplift.model import CONVERSION
from streamer.core.uplift.slates import Impression
from streamer.core.uplift.worth import worth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.policy.proposal import Proposal
    from streamer.core.settings import PolicySettings
    from streamer.core.uplift.model import ServedUplift
    from streamer.core.uplift_settings import UpliftSettings


def appraise(
    proposals: Sequence[Proposal], settings: Sequence[PolicySettings], model: ServedUplift, money: UpliftSettings
) -> None:
    """Tell each proposal what it is worth and, if that is too little, whether it is to be tried all the same.

    ``settings``: of each proposal's shopper. What is foretold is foretold of all together, and of each as if alone. A
    coupon is weighed in money, whatever pushes are compared by.
    """
    told = [
        proposal
        for proposal, terms in zip(proposals, settings, strict=True)
        if money.open_slates or terms.worth_by == "uplift" or proposal.case.campaign.coupon is not None
    ]
    foresights = [proposal.case.foresight for proposal in told if proposal.case.foresight is not None]
    for name in ("churn", "purchase"):
        Foresight.ask(foresights, name)
    for proposal in told:
        proposal.row = describe(moment_of(proposal))
    for proposal, expected in zip(told, model.forecasts([proposal.row for proposal in told]), strict=True):
        proposal.expected = expected
    taught = model.version(CONVERSION) > 0
    for proposal, terms in zip(proposals, settings, strict=True):
        _value(proposal, terms, money, taught=taught)


def _value(proposal: Proposal, settings: PolicySettings, money: UpliftSettings, *, taught: bool) -> None:
    case, expected, coupon = proposal.case, proposal.expected, proposal.case.campaign.coupon
    gain = 0.0
    if expected is not None:
        if coupon is not None:
            proposal.coupon_cents = coupon.may_cost
            if not taught:
                # That the prior hopes for something is no reason to give away money.
                expected = expected._replace(pushed=expected.anyway)
        fatigue = money.push_cost * (case.price - 1.0)
        assert case.profile is not None
        besides = sold_besides(case.profile, case.standing, case.now_ms, money.forward_ms)
        given = coupon.costs(proposal.about_cents) if coupon is not None else 0
        gain = worth(expected, proposal.cents, money, fatigue, given, besides=besides)
    proposal.gain = gain
    proposal.worth = proposal.decision.score if settings.worth_by == "score" or expected is None else gain
    if proposal.worth < settings.least_worth or (coupon is not None and gain <= 0.0):
        proposal.tried = share(proposal.ask.mark, TRIED + settings.groups_seed) < settings.try_share


def moment_of(proposal: Proposal) -> Moment:
    """All that is known of the shopper, the push and the occasion."""
    case, settings = proposal.case, proposal.ask.terms.settings
    assert case.profile is not None
    assert case.foresight is not None
    # Whose zone is not known by its name is taken to live by UTC.
    offset_ms = case.zones.offset_ms(case.standing.time_zone or settings.time_zone, case.now_ms) or 0
    return Moment(
        case.profile,
        case.standing,
        case.sent,
        case.now_ms,
        case.now_ms + offset_ms,
        case.campaign.name,
        proposal.channel,
        proposal.decision.score,
        proposal.item,
        proposal.cents,
        case.foresight.chance("churn"),
        case.foresight.chance("purchase"),
    )


def impression_of(
    proposal: Proposal, items: tuple[int, ...], categories: tuple[int, ...], settings: PolicySettings, *, pushed: bool
) -> Impression | None:
    """What is kept of a push that is sent, or held back by chance; ``None`` if it was not appraised."""
    if proposal.expected is None:
        return None
    case, decision = proposal.case, proposal.decision
    return Impression(
        bytes.fromhex(decision.candidate_id),
        case.now_ms,
        case.campaign.name,
        items,
        categories,
        FEATURES_ID,
        proposal.row,
        pushed,
        (1.0 - settings.holdout_share) * (1.0 - case.campaign.control_share),
        decision.propensity,
        proposal.expected,
        decision.model_version,
        decision.policy_version,
    )
