"""Nothing is sent in the hours a shopper wants quiet: the decision waits for their end, and is then taken anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.policy.rule import CheapRule
from streamer.core.zones import DAY_MINUTES, MINUTE_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.policy.state import Standing
    from streamer.core.settings import PolicySettings
    from streamer.core.zones import Zones

_TURNS: Final = 4


def refuses(case: Case, settings: PolicySettings) -> bool:
    """The local time is within the quiet hours, or cannot be told.

    Who said nothing of them has those of the shop, and who named no zone lives in the shop's.

    The hours are minutes of the local day, from the first up to but without the second, over midnight if the first is
    the later. In a zone that nobody knows the silence is the whole day's, as a push cannot be taken back.
    """
    return _quiet(case, settings, case.now_ms) > 0


def until(case: Case, settings: PolicySettings) -> int | None:
    """The first moment (whole minutes) at which the quiet hours are over; ``None`` if it cannot be told.

    When clocks are put forward over the end, it is then that they are over; when they are put back, the hour that
    comes twice is quiet twice, if it is at all.
    """
    before_ms = case.now_ms - case.now_ms % MINUTE_MS
    for _ in range(_TURNS):
        left = _quiet(case, settings, before_ms)
        if left <= 0:
            return before_ms
        if left >= DAY_MINUTES:
            return None
        after_ms = before_ms + left * MINUTE_MS
        if _quiet(case, settings, after_ms) > 0:
            before_ms = after_ms  # the clocks were put back in between
            continue
        # Usually the minute before is quiet. If not, the clocks were put forward: find when.
        low, high = before_ms // MINUTE_MS, after_ms // MINUTE_MS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _quiet(case, settings, middle * MINUTE_MS) > 0 else (low, middle)
        return high * MINUTE_MS
    return None


def quiet_for(standing: Standing, settings: PolicySettings, zones: Zones, at_ms: int) -> int:
    """For how many minutes more by the clock it is quiet, at most a day's; 0: it is not quiet."""
    hours = standing.quiet_hours or settings.quiet_minutes
    if hours is None or hours[0] == hours[1]:
        return 0
    minute = zones.minute(standing.time_zone or settings.time_zone, at_ms)
    if minute is None:
        return DAY_MINUTES
    start, end = hours
    quiet = start <= minute < end if start < end else minute >= start or minute < end
    return (end - minute) % DAY_MINUTES if quiet else 0


def _quiet(case: Case, settings: PolicySettings, at_ms: int) -> int:
    return quiet_for(case.standing, settings, case.zones, at_ms)


RULE = CheapRule("quiet_hours", "these are the shopper's quiet hours", refuses, until)
