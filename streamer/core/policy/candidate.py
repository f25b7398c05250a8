"""Building the product: the candidate, with its ids, its message and its reasons in words."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from streamer.core.effects import Candidate, Experiment, Template, Trigger
from streamer.core.encode import ALWAYS_FIT, how_many_fit, rfc3339
from streamer.core.policy.expired import expiry_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.effects import SlateItem
    from streamer.core.events import Event
    from streamer.core.policy.experiments import Terms
    from streamer.core.policy.rule import Case
    from streamer.core.reasons import Explanation
    from streamer.core.settings import PolicySettings

SCHEMA_VERSION: Final = 1
_DEDUPE_DIGITS: Final = 16


def candidate_id(user: str, source: str, trigger_id: str, campaign: str, timer: str = "") -> str:
    """BLAKE2b-128, in hex, over the parts, each behind its length in bytes (32 bits, little-endian).

    ``timer`` is one of them only where the event armed more than one of the campaign's.
    """
    digest = blake2b(digest_size=16)
    for part in (user, source, trigger_id, campaign, *([timer] if timer else [])):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "little"))
        digest.update(encoded)
    return digest.hexdigest()


def build_candidate(
    event: Event,
    case: Case,
    items: Sequence[SlateItem],
    words: dict[str, str],
    why: Explanation,
    *,
    identity: str,
    model_version: int,
    policy_version: str,
    propensity: float = 1.0,
    terms: Terms,
) -> Candidate:
    """The candidate of a case that no rule refused.

    ``items`` is best first, ``words`` fill the template, ``identity`` is its ``candidate_id``,
    ``propensity`` the probability that its first item is that one, ``terms`` what the shopper is decided by.
    """
    campaign, message, settings = case.campaign, case.campaign.message, terms.settings
    return Candidate(
        schema_version=SCHEMA_VERSION,
        candidate_id=identity,
        dedupe_key=identity[:_DEDUPE_DIGITS],
        collapse_key=campaign.name,
        user_id=event.user,
        trigger=Trigger(event.type, event.id, event.topic, event.partition, event.offset),
        event_time=rfc3339(event.time),
        decided_at=rfc3339(case.now_ms),
        campaign=campaign.name,
        channel=campaign.channel(case.standing.channels) or message.channels[0],
        template=Template(message.template, settings.locale, words),
        items=tuple(items),
        deep_link=_link_to(items[0].id, campaign.name, settings),
        priority=message.urgency,
        expires_at=rfc3339(case.time_ms + expiry_ms(case, settings)),
        score=items[0].score,
        propensity=propensity,
        experiments=tuple([Experiment(name, arm) for name, arm in terms.arms]),
        model_version=model_version,
        policy_version=policy_version,
        reasons=tuple(why.words()),
        contributions=tuple(why.parts()),
    )


def fitting(items: list[str], event: Event, campaign: str, terms: Terms) -> list[str]:
    """Those of a push's items, its best first, that a candidate has room for."""
    if len(items) <= ALWAYS_FIT:
        return items
    link = _link_to(items[0], campaign, terms.settings)
    return items[: how_many_fit(items, ids=(event.user, event.id), link=link, arms=terms.arms)]


def _link_to(item: str, campaign: str, settings: PolicySettings) -> str:
    """Where a push of that item leads."""
    return settings.deep_link.format(item=quote(item, safe=""), campaign=quote(campaign, safe=""))
