"""The rules of a run, taken from its settings: numbers alone, each told to the checker as it would be to a person."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import TYPE_CHECKING, Any

from tests.governance.rules import Audience, Experiment, Rules
from tests.governance.run import DAY_MS, HOUR_MS, WEEK_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.campaigns.campaign import Campaign
    from streamer.settings import Settings


def rules_of(settings: Settings) -> Rules:
    """Those of the settings and the campaigns, and of every combination of the experiments' arms."""
    core = settings.core
    common = _of_campaigns(core.campaigns) | {
        "seed": core.seed,
        "lateness_ms": core.profile.allowed_lateness_ms,
        "session_gap_ms": core.profile.session_gap_ms,
        "holdout_share": core.policy.holdout_share,
        "groups_seed": core.policy.groups_seed,
        "experiments": tuple(
            Experiment(experiment.name, {arm.name: arm.share for arm in experiment.arms}, experiment.salt)
            for experiment in core.experiments
        ),
    }
    by_arms = {}
    for arms in product(*(experiment.arms for experiment in core.experiments)) if core.experiments else ():
        policy: Any = core.policy
        for arm in arms:
            policy = dataclasses.replace(policy, **dict(arm.changes))
        by_arms[tuple(arm.name for arm in arms)] = Rules(**common, **_of_policy(policy))
    return Rules(**common, **_of_policy(core.policy), by_arms=by_arms)


def _of_policy(policy: Any) -> dict[str, Any]:
    """What an experiment's arm may change. No push a week is no cap, none an hour or a day are none at all."""
    week = ((policy.per_week, WEEK_MS),) if policy.per_week else ()
    return {
        "caps": ((policy.per_hour, HOUR_MS), (policy.per_day, DAY_MS), *week),
        "category_caps": ((policy.category_per_day, DAY_MS),) if policy.category_per_day else (),
        "gap_ms": policy.min_gap_ms,
        "doublings": policy.dismissal_doublings,
        "repeat_ms": policy.repeat_window_ms,
        "dismissed_ms": policy.dismissed_window_ms,
        "must_consent": policy.require_consent,
        "quiet_hours": policy.quiet_hours,
        "time_zone": policy.time_zone,
        "expiry_ms": policy.expiry_ms,
        "score_threshold": policy.score_threshold,
        "fatigue_bits": policy.fatigue_bits,
        "fatigue_most_bits": policy.fatigue_most_bits,
        "ignored_ms": policy.ignored_after_ms,
        "worth_by": policy.worth_by,
        "least_worth": policy.least_worth,
        "try_share": policy.try_share,
        "rank_rate": policy.rank_rate,
    }


def _of_campaigns(campaigns: Sequence[Campaign]) -> dict[str, Any]:
    at_once: dict[str, frozenset[str]] = {}
    for campaign in campaigns:
        triggers = campaign.triggers
        if triggers.due == "after" and not triggers.after_ms and not triggers.best_within_ms:
            at_once |= {kind: at_once.get(kind, frozenset()) | {campaign.name} for kind in triggers.on}
    for campaign in campaigns:
        # To an event that one campaign decides on at once, all that do are known.
        at_once |= {kind: at_once.get(kind, frozenset()) for kind in campaign.triggers.on}
    return {
        "campaign_caps": {campaign.name: _caps(campaign) for campaign in campaigns},
        "again": frozenset(campaign.name for campaign in campaigns if campaign.listing.again),
        "singled_out": frozenset(campaign.name for campaign in campaigns if campaign.listing.source == "trigger"),
        "in_turn": frozenset(campaign.name for campaign in campaigns if campaign.triggers.due == "rebuy"),
        "coupons": {
            campaign.name: (_most(coupon), coupon.day_cents, coupon.budget_cents)
            for campaign in campaigns
            if (coupon := campaign.coupon) is not None
        },
        "priorities": {campaign.name: campaign.priority for campaign in campaigns},
        "expiries": {campaign.name: campaign.message.expires_after_ms for campaign in campaigns},
        "least_scores": {
            campaign.name: least for campaign in campaigns if (least := campaign.listing.least_score) is not None
        },
        "at_once": at_once,
        "audiences": {campaign.name: _audience(campaign) for campaign in campaigns},
        "control_shares": {campaign.name: campaign.control_share for campaign in campaigns},
    }


def _most(coupon: Any) -> int | None:
    """Cents: what one counts with; None where that hangs on the price, as nothing else bounds it."""
    return getattr(coupon, "may_cost", coupon.cents) or None


def _caps(campaign: Campaign) -> tuple[tuple[int, int], ...]:
    caps = campaign.caps
    windows = ((caps.per_day, DAY_MS), (caps.per_week, WEEK_MS), (1, caps.min_gap_ms))
    return tuple((most, window_ms) for most, window_ms in windows if most and window_ms)


def _audience(campaign: Campaign) -> Audience:
    audience = campaign.audience
    return Audience(
        frozenset(audience.tags),
        frozenset(audience.without_tags),
        frozenset(audience.categories),
        (audience.purchases_at_least, audience.purchases_at_most),
        (audience.visits_at_least, audience.visits_at_most),
    )
