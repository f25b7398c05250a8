"""Whether a shopper is one of those a campaign is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.campaigns.campaign import Audience
from streamer.core.events import group_key
from streamer.core.packed import AFFINITY
from streamer.core.profile import PURCHASE
from streamer.core.tags import tags

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.predictions.served import Foresight
    from streamer.core.profile import Profile
    from streamer.core.segments.served import ServedSegments
    from streamer.core.settings import ProfileSettings

_EVERYBODY: Final = Audience()


def belongs(
    profile: Profile,
    audience: Audience,
    now_ms: int,
    *,
    foresight: Foresight,
    index: ItemIndex,
    segments: ServedSegments,
    settings: ProfileSettings,
) -> bool:
    """Whether every condition holds at ``now_ms``. What costs most is asked last."""
    if audience == _EVERYBODY:
        return True
    purchases, visits = profile.counts[PURCHASE], profile.sessions
    if not audience.purchases_at_least <= purchases <= _most(audience.purchases_at_most, purchases):
        return False
    if not audience.visits_at_least <= visits <= _most(audience.visits_at_most, visits):
        return False
    if audience.categories:
        keys = [group_key(name) for name in audience.categories]
        if all(AFFINITY.find(profile.categories, key) == -1 for key in keys):
            return False
    if audience.tags or audience.without_tags:
        found = set(tags(profile, now_ms, index.brand_name, settings))
        if (audience.tags and found.isdisjoint(audience.tags)) or not found.isdisjoint(audience.without_tags):
            return False
    if audience.segments and segments.segment(profile, now_ms) not in audience.segments:
        return False
    if audience.churn_at_least > 0.0 or audience.churn_at_most < 1.0:
        return audience.churn_at_least <= foresight.chance("churn") <= audience.churn_at_most
    return True


def _most(bound: int | None, value: int) -> int:
    return value if bound is None else bound
