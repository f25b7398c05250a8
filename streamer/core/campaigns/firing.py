"""Which of a shopper's timers ask when their time has come, and which wait on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from streamer.core.campaigns.arming import in_order
from streamer.core.campaigns.due import bought_again, due
from streamer.core.events import Event

if TYPE_CHECKING:
    from streamer.core.campaigns.arming import Timers
    from streamer.core.campaigns.book import Book
    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.campaigns.due import Times
    from streamer.core.policy.state import Armed
    from streamer.core.profile import Profile

STILL_DUE_MS: Final = 7 * 86_400_000
"""What is usually bought again is asked about for so long after its time."""


class Fired(NamedTuple):
    """A timer that asks, for a campaign, about items."""

    campaign: Campaign
    timer: Armed
    keys: tuple[int, ...]


def fire(timers: Timers, profile: Profile, book: Book, now_ms: int, times: Times) -> tuple[list[Fired], Timers]:
    """Those that ask at ``now_ms``, and those that are armed then. A timer of a campaign that is off is dropped.

    Whether a silence has lasted long enough is worked out now, so that an event that ends it has to write nothing; and
    what is bought again about now, as more may be known of that than when the timer was armed.
    """
    fired: list[Fired] = []
    waiting: list[Armed] = []
    for timer in timers:
        campaign = book.by_name.get(timer.campaign)
        if timer.due_ms > now_ms or campaign is None:
            if campaign is not None:
                waiting.append(timer)
            continue
        triggers, keys = campaign.triggers, timer.keys
        if triggers.due == "silence":
            now_due = due(triggers, profile, timer.due_ms, times)
            if now_due is not None and (now_due.at_ms > now_ms or not timer.waits):
                # The row was early if there were visits in between, or the shopper came back while it waited; what is
                # asked is asked as of the silence's end, or as of that of the wait.
                timer = replace(timer, due_ms=now_due.at_ms, waits=False)  # noqa: PLW2901 - the same timer
            if timer.due_ms > now_ms:
                waiting.append(timer)
                continue
        elif triggers.due == "rebuy":
            keys = _due_again(timer, bought_again(triggers, profile, now_ms, times.cycles), profile, now_ms)
            following = due(triggers, profile, now_ms, times)
            if following is not None:
                at_ms, its_keys, name = following
                waiting.append(replace(timer, due_ms=at_ms, keys=its_keys, timer=name, waits=False))
            if not keys:
                continue
        fired.append(Fired(campaign, timer, keys))
    return fired, in_order(waiting)


def _due_again(timer: Armed, again: list[tuple[int, int]], profile: Profile, now_ms: int) -> tuple[int, ...]:
    """The items to ask about: those due about now, and the timer's own of which nothing is known any more."""
    due_now = [key for at_ms, key in sorted(again) if now_ms - STILL_DUE_MS < at_ms <= now_ms]
    known = {key for _, key in again}
    bought = {each.key for each in profile.bought()}
    return tuple(due_now + [key for key in timer.keys if key in bought and key not in known])


def armed_by(timer: Armed, user: str) -> Event:
    """The event that armed a timer, as far as the timer remembers it."""
    return Event(
        user,
        timer.id,
        timer.source,
        timer.type,
        timer.time_ms,
        timer.fingerprint,
        topic=timer.topic,
        partition=timer.partition,
        offset=timer.offset,
        timestamp=timer.time_ms,
    )
