"""What an event does to a shopper's timers: a tuple of few, in the order in which they are due."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.campaigns.due import due
from streamer.core.packed import RECENT
from streamer.core.policy.state import Armed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.campaigns.book import Reactions
    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.campaigns.due import Due, Times
    from streamer.core.events import Event
    from streamer.core.profile import Profile

Timers = tuple[Armed, ...]

_TOUCHES: Final = frozenset({"view", "click", "wishlist", "cart"})
"""Events that leave an item at the newest end of a profile's."""


def after_event(
    timers: Timers, event: Event, reactions: Reactions, profile: Profile, *, times: Times, most_items: int
) -> Timers:
    """The timers after an event: taken back first, then armed.

    ``profile`` is the shopper's with the event in it. An event that comes late takes back nothing that was armed by a
    newer one, moves nothing back, and arms nothing that has been overtaken by what would take it back, as far as the
    profile tells. It takes out items that nothing newer happened to, and adds its own to those of the newer one.
    """
    left = (_after(kept, event, reactions, profile) for kept in timers)
    by_name = {timer.campaign: timer for timer in left if timer is not None}
    for campaign in reactions.arm:
        if event.time < profile.last_ms and _overtaken(campaign, event, profile):
            continue
        before = by_name.get(campaign.name)
        if before is not None and _stands(before, campaign):
            continue
        found = due(campaign.triggers, profile, event.time, times)
        if found is None:
            continue
        if before is not None and found.at_ms >= before.due_ms and _holds(before, campaign, event):
            continue
        timer = _armed(campaign, event, profile, before, found, most_items=most_items)
        if timer is not None:
            by_name[campaign.name] = timer
    return in_order(by_name.values())


def _holds(timer: Armed, campaign: Campaign, event: Event) -> bool:
    """Whether a timer that comes first stays, whatever the event says of later.

    When a silence is really over is worked out as its timer fires: no event has to move it to later, nor to write a row
    for it. So is what is bought again by then: one item does not wait for another.
    """
    if campaign.triggers.due == "rebuy":
        return not {line.key for line in event.lines}.issuperset(timer.keys)
    return campaign.triggers.due == "silence"


def _stands(timer: Armed, campaign: Campaign) -> bool:
    """Whether no later event moves the timer. One that has asked already, and may have been sent, is none to stand."""
    return not campaign.triggers.restart and not timer.asked_ms


def _after(timer: Armed, event: Event, reactions: Reactions, profile: Profile) -> Armed | None:
    """What is left of a timer after an event that may take it back, or items from it."""
    late = timer.time_ms > event.time
    if late and timer.prices:
        return timer  # the news are newer than the event, whatever it is about
    if timer.campaign in reactions.cancel and not late:
        return None
    if timer.campaign in reactions.drop and timer.keys:
        gone = {line.key for line in event.lines if not late or _interest_since(profile, line.key, event.time) is None}
        left = [place for place, key in enumerate(timer.keys) if key not in gone]
        keys, prices = (tuple([row[place] for place in left if row]) for row in (timer.keys, timer.prices))
        return msgspec.structs.replace(timer, keys=keys, prices=prices) if keys else None
    return timer


def _overtaken(campaign: Campaign, event: Event, profile: Profile) -> bool:
    """Whether something newer was folded before a late event that would have taken the timer back."""
    takes_back, time_s = campaign.triggers.cancel_on, event.time // 1000
    if "purchase" in takes_back and any(bought.time_s > time_s for bought in profile.bought()):
        return True
    return not _TOUCHES.isdisjoint(takes_back) and any(recent.last_s > time_s for recent in profile.recents())


def _interest_since(profile: Profile, key: int, time_ms: int) -> int | None:
    """The interest in an item that something in a later second left; ``None`` if nothing did, as far as the profile
    remembers. None is left in what is taken out of the cart.
    """
    at = RECENT.find(profile.items, key)
    if at == -1:
        return None
    _, last_s, weight, *_ = RECENT.unpack_from(profile.items, at)
    return weight if last_s > time_ms // 1000 else None


def _armed(
    campaign: Campaign, event: Event, profile: Profile, before: Armed | None, found: Due, *, most_items: int
) -> Armed | None:
    if campaign.triggers.due != "after":
        return arm(campaign.name, found.at_ms, event, found.keys, found.timer)
    lines = dict.fromkeys(line.key for line in event.lines)
    if event.time < profile.last_ms and campaign.triggers.drop_on:
        lines = {key: None for key in lines if _interest_since(profile, key, event.time) != 0}
        if event.lines and not lines:
            return before
    if before is None:
        return arm(campaign.name, found.at_ms, event, tuple(lines)[-most_items:])
    if before.time_ms > event.time:  # late: the newer one says when, and who asks
        older = [key for key in lines if key not in before.keys]
        return msgspec.structs.replace(before, keys=(*older, *before.keys)[-most_items:])
    keys = (*[key for key in before.keys if key not in lines], *lines)
    return arm(campaign.name, found.at_ms, event, keys[-most_items:])


def arm(
    campaign: str,
    due_ms: int,
    event: Event,
    keys: tuple[int, ...],
    timer: str = "",
    *,
    waits: bool = False,
    prices: tuple[int, ...] = (),
) -> Armed:
    """A timer that an event arms, or news."""
    return Armed(
        campaign,
        due_ms,
        event.time,
        event.id,
        event.source,
        event.type,
        event.topic,
        event.partition,
        event.offset,
        event.fingerprint,
        keys,
        timer,
        waits,
        prices,
    )


def with_timer(timers: Timers, timer: Armed) -> Timers:
    """The timers with one more, in the place of another of its campaign's."""
    return in_order([*(kept for kept in timers if kept.campaign != timer.campaign), timer])


def in_order(timers: Iterable[Armed]) -> Timers:
    """The earliest due first, ties by the campaign's name."""
    return tuple(sorted(timers, key=_place))


_place: Final = attrgetter("due_ms", "campaign")
