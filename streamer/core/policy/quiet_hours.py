"""Nothing is sent in the hours a shopper wants quiet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from streamer.core.policy.rule import CheapRule
from streamer.core.settings import DAY_MS, MINUTE_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings

_OFFSET: Final = re.compile(r"(?:UTC|GMT|Z|)(?:([+-])(\d{1,2})(?::?(\d{2}))?)?")


def utc_offset_ms(time_zone: str | None) -> int | None:
    """The offset of ``UTC``, ``+02:00`` or ``UTC-5``; ``None`` for a zone known by name only (``Asia/Tokyo``)."""
    match = _OFFSET.fullmatch(time_zone or "")
    if match is None:
        return None
    sign, hours, minutes = match.groups("0")
    offset = (int(hours) * 60 + int(minutes)) * MINUTE_MS
    return -offset if sign == "-" else offset


def refuses(case: Case, _settings: PolicySettings) -> bool:
    """The local time is within the quiet hours, or cannot be told.

    The hours are minutes of the day, from the first up to but without the second, over midnight if the first is the
    later. Where no zone was given they are UTC. The core has no tables of named zones yet: there the silence is the
    whole day's, as a push cannot be taken back. A refusal is final; asking anew at the end of the hours takes a timer.
    """
    hours = case.standing.quiet_hours
    if hours is None or hours[0] == hours[1]:
        return False
    offset = utc_offset_ms(case.standing.time_zone)
    if offset is None:
        return True
    minute = (case.now_ms + offset) % DAY_MS // MINUTE_MS
    start, end = hours
    return start <= minute < end if start < end else minute >= start or minute < end


RULE = CheapRule("quiet_hours", "these are the shopper's quiet hours", refuses)
