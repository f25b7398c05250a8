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
    from streamer.core.campaigns.cycles import Cycles
    from streamer.core.campaigns.due import Due
    from streamer.core.events import Event
    from streamer.core.profile import Profile

Timers = tuple[Armed, ...]

_TOUCHES: Final = frozenset({"view", "click", "wishlist", "cart"})
"""Events that leave an item at the newest end of a profile's."""


def after_event(
    timers: Timers, event: Event, reactions: Reactions, profile: Profile, *, cycles: Cycles, most_items: int
) -> Timers:
    """The timers after an event: taken back first, then armed.

    ``profile`` is the shopper's with the event in it. An event that comes late takes back nothing that was armed by a
    newer one, moves nothing back, and arms nothing that has been overtaken by what would take it back, as far as the
    profile tells. It takes out items that nothing newer happened to.
    """
    left = (_after(kept, event, reactions, profile) for kept in timers)
    by_name = {timer.campaign: timer for timer in left if timer is not None}
    for campaign in reactions.arm:
        if event.time < profile.last_ms and _overtaken(campaign, event, profile):
            continue
        before = by_name.get(campaign.name)
        silence = campaign.triggers.due == "silence"
        if before is not None and not silence and (not campaign.triggers.restart or before.time_ms > event.time):
            continue
        found = due(campaign.triggers, profile, event.time, cycles)
        if found is None:
            continue
        if silence and before is not None and found.at_ms >= before.due_ms:
            # When a silence is really over is worked out as its timer fires: no event has to move it to later, nor to
            # write a row for it.
            continue
        timer = _armed(campaign, event, profile, before, found, most_items=most_items)
        if timer is not None:
            by_name[campaign.name] = timer
    return in_order(by_name.values())


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
    keys = found.keys
    if campaign.triggers.due == "after":
        lines = dict.fromkeys(line.key for line in event.lines)
        if event.time < profile.last_ms and campaign.triggers.drop_on:
            lines = {key: None for key in lines if _interest_since(profile, key, event.time) != 0}
            if event.lines and not lines:
                return None
        earlier = before.keys if before is not None else ()
        keys = (*[key for key in earlier if key not in lines], *lines)[-most_items:]
    return arm(campaign.name, found.at_ms, event, keys, found.timer)


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
