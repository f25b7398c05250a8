"""At which hours of the day a shopper is there, and the best of them for a message that has time.

Hours are UTC's, so that they follow from the shopper's events alone; local time would take the time zone, which is said
elsewhere and changes. When clocks change, habits move by an hour: neighbouring hours count half, and old visits fade.

Packed into bytes: an hour and how many visits it has, a byte each, in order of first mention. Most shoppers have few.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR_MS: Final = 3_600_000
DAY_HOURS: Final = 24
KNOWN: Final = 8
"""Of fewer visits nothing is concluded: a message does not wait for the one hour at which somebody came once."""


def with_visit(hours: bytes, time_ms: int, most: int) -> bytes:
    """The hours with a visit more. Beyond ``most`` (255 at most) in one hour all are halved."""
    hour = time_ms // HOUR_MS % DAY_HOURS
    at = 2 * hours[::2].find(hour)
    if at < 0:
        return hours + bytes((hour, 1))
    visits = hours[at + 1] + 1
    hours = hours[: at + 1] + bytes((min(visits, 255),)) + hours[at + 2 :]
    if visits <= min(most, 255):
        return hours
    halved = [(hours[n], hours[n + 1] >> 1) for n in range(0, len(hours), 2)]
    return b"".join([bytes(pair) for pair in halved if pair[1]])


def visits(hours: bytes) -> dict[int, int]:
    """How many visits each hour has, for those that have any, by hour."""
    return dict(sorted(zip(hours[::2], hours[1::2], strict=False)))


def at_best_hour(hours: bytes, at_ms: int, within_ms: int, closed: Callable[[int], bool]) -> int:
    """The first moment, whole hours after ``at_ms`` and at most ``within_ms``, at which the shopper is likeliest there.

    ``at_ms`` itself if no later hour is better, or too little is known. An hour is as good as its visits are many, and
    those of its two neighbours count half. Of moments that are ``closed`` none is chosen, unless all are.
    """
    if not within_ms or sum(hours[1::2]) < KNOWN:
        return at_ms
    hour = at_ms // HOUR_MS % DAY_HOURS
    waits = _waits(hours, hour, min(within_ms // HOUR_MS, DAY_HOURS - 1))
    moments = (at_ms + HOUR_MS * wait for wait in waits)
    return next((moment for moment in moments if not closed(moment)), at_ms)


@lru_cache(maxsize=8192)
def _waits(hours: bytes, hour: int, most: int) -> tuple[int, ...]:
    """So many hours after ``hour``, at most ``most``, the likeliest first. Each event of a visit asks again, for each
    campaign.
    """
    known = visits(hours)
    own = [known.get((hour + n) % DAY_HOURS, 0) for n in range(-1, most + 2)]
    likely = [before + 2 * at + after for before, at, after in zip(own, own[1:], own[2:], strict=False)]
    return tuple(sorted(range(len(likely)), key=lambda wait: -likely[wait]))
