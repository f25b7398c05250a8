"""At which hours of the day a shopper is there, and the best of them for a message that has time.

Hours are UTC's, so that they follow from the shopper's events alone; local time would take the time zone, which is said
elsewhere and changes. When clocks change, habits move by an hour: neighbouring hours count half, and old visits fade.

Packed into bytes: an hour and how many visits it has, a byte each, in order of first mention. Most shoppers have few.
"""

from __future__ import annotations

from typing import Final

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


def at_best_hour(hours: bytes, at_ms: int, within_ms: int) -> int:
    """The first moment, whole hours after ``at_ms`` and at most ``within_ms``, at which the shopper is likeliest there.

    ``at_ms`` itself if no later hour is better, or too little is known. An hour is as good as its visits are many, and
    those of its two neighbours count half.
    """
    if not within_ms or sum(hours[1::2]) < KNOWN:
        return at_ms
    known = visits(hours)

    def likely(wait: int) -> int:
        hour = at_ms // HOUR_MS + wait
        before, own, after = (known.get((hour + n) % DAY_HOURS, 0) for n in (-1, 0, 1))
        return before + 2 * own + after

    waits = range(min(within_ms // HOUR_MS, DAY_HOURS - 1) + 1)
    return at_ms + max(waits, key=lambda wait: (likely(wait), -wait)) * HOUR_MS
