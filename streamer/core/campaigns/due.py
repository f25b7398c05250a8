"""When a campaign's timer is due, and which items it is then about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streamer.core.hours import at_best_hour
from streamer.core.settings import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.campaigns.campaign import Triggers
    from streamer.core.campaigns.cycles import Cycles
    from streamer.core.profile import Profile


class Due(NamedTuple):
    """A time, the items the timer is about (none: its events'), and its name where one event arms several."""

    at_ms: int
    keys: tuple[int, ...] = ()
    timer: str = ""


class Times(NamedTuple):
    """What besides the profile tells when a timer is due: the items' ``cycles``, and whether it is ``closed`` at a
    moment, as quiet hours are.
    """

    cycles: Cycles
    closed: Callable[[int], bool]


def due(triggers: Triggers, profile: Profile, from_ms: int, times: Times) -> Due | None:
    """When a timer is due that an event of ``from_ms`` arms, as far as the profile tells; ``None``: it is not armed.

    Of the times at which something is usually bought again, the first that is later than ``from_ms``. The shopper's
    best hour is looked for from there on, outside quiet hours.
    """
    found = _usual(triggers, profile, from_ms, times.cycles)
    if found is None or not triggers.best_within_ms:
        return found
    best_ms = at_best_hour(profile.hours, found.at_ms, triggers.best_within_ms, times.closed)
    return Due(best_ms, found.keys, found.timer)


def _usual(triggers: Triggers, profile: Profile, from_ms: int, cycles: Cycles) -> Due | None:
    if triggers.due == "after":
        return Due(from_ms + triggers.after_ms)
    if triggers.due == "silence":
        return Due(profile.last_ms + _within(triggers, triggers.rhythm * (_gap_ms(profile) or triggers.first_ms)))
    again = [(at_ms, key) for at_ms, key in bought_again(triggers, profile, from_ms, cycles) if at_ms > from_ms]
    if not again:
        return None
    at_ms, key = min(again)
    # The day is part of the name: what was asked about and is, by what is known later, to be asked about again is
    # another push than the first.
    return Due(at_ms, (key,), f"{key:016x}@{at_ms // DAY_MS}")


def bought_again(triggers: Triggers, profile: Profile, now_ms: int, cycles: Cycles) -> list[tuple[int, int]]:
    """When (ms) each item (its key) that the shopper bought is usually bought again, as far as is known by now.

    The cycle is the mean of the shopper's own gaps, and the item's (``cycles.py``) where it was bought once.
    """
    found = []
    bought = profile.bought()
    usual = cycles.of([each.key for each in bought], now_ms) if bought else []
    for (key, last_s, first_s, orders), usual_ms in zip(bought, usual, strict=True):
        gaps, own_ms = orders - 1, (last_s - first_s) * 1000.0
        cycle_ms = own_ms / gaps if gaps else usual_ms or triggers.first_ms
        if cycle_ms > 0:
            found.append((last_s * 1000 + _within(triggers, triggers.rhythm * cycle_ms), key))
    return found


def _within(triggers: Triggers, wait_ms: float) -> int:
    wait = max(int(wait_ms), triggers.least_ms)
    return min(wait, triggers.most_ms) if triggers.most_ms else wait


def _gap_ms(profile: Profile) -> float:
    """The mean gap between the visits' beginnings; 0 if there was but one."""
    gaps = profile.sessions - 1
    return max(profile.session_start_ms - profile.first_ms, 0) / gaps if gaps > 0 else 0.0
