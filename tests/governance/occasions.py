"""What competed: all that was asked of a shopper at one event or tick, of which one push at most comes.

An event's decisions name it. At which tick a timer asked no row tells, but that it was not before it was due, and when
a push was decided. So of one shopper's timers whose decisions stand side by side it is known at least which cannot have
competed; those that may have are held to no more than what is true of both of two ticks.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.governance.run import Rec

WINS: Final = frozenset({"sent", "holdout", "control"})
"""What is held back to compare with ends an occasion like what is sent."""


class Asked(NamedTuple):
    """A decision. ``decided_ms``: stream time of the push that it sent; 0 if it sent none."""

    rec: Rec
    body: dict[str, Any]
    decided_ms: int = 0

    @property
    def campaign(self) -> str:
        """Which one asked."""
        return str(self.body.get("c", ""))

    @property
    def reason(self) -> str:
        """What became of it."""
        return str(self.body.get("r", ""))

    @property
    def due_ms(self) -> int:
        """When its timer was due; 0 if an event asked."""
        return int(self.body.get("t", 0))

    @property
    def worth(self) -> float:
        """By which it competes."""
        return float(self.body.get("w", self.body.get("s", 0.0)))


def occasions(decisions: Iterable[Asked]) -> Iterator[list[Asked]]:
    """A task's decisions in their order: of an event each, or of one shopper's timers that stand side by side."""
    for _, together in groupby(decisions, lambda one: (one.rec.key, "" if one.due_ms else one.body.get("o"))):
        yield list(together)


def too_many(together: list[Asked], ticks: Mapping[int, int]) -> Iterator[Asked]:
    """What won an occasion that was won before. ``ticks``: how many there were, by their time.

    Of timers only a push tells when it won: two of one time are of one tick, if there was but one then.
    """
    won = Counter[int]()
    for asked in together:
        if asked.reason in WINS and (asked.decided_ms or not asked.due_ms):
            at_ms = asked.decided_ms if asked.due_ms else 0
            won[at_ms] += 1
            if won[at_ms] > max(1, ticks.get(at_ms, 1)):
                yield asked


def wrongly_outbid(together: list[Asked], priorities: Mapping[str, int]) -> Iterator[tuple[Asked, str]]:
    """What is said to be outbid and was not, and how it is: the greater worth wins, then the greater priority, then
    the name that comes first.
    """

    def place(asked: Asked) -> tuple[float, int, str]:
        return -asked.worth, -priorities.get(asked.campaign, 0), asked.campaign

    spans = list(zip(together, _spans(together), strict=True))
    for asked, (first, last) in spans:
        if asked.reason != "outbid":
            continue
        winners = [one for one, (begin, end) in spans if one.reason in WINS and begin <= last and first <= end]
        best = min(winners, key=place, default=None)
        if best is None:
            yield asked, "was outbid by nothing"
        elif place(best) > place(asked):
            yield asked, f"of worth {asked.worth} was outbid by {best.campaign}, of worth {best.worth}"


def _spans(together: list[Asked]) -> Iterator[tuple[float, float]]:
    """From when until when each may have been decided: not before it was due or after a later one was decided. For
    those of an event, which are of one moment, at any time.
    """
    if not together[0].due_ms:
        return iter([(0.0, math.inf)] * len(together))
    firsts = accumulate((max(one.due_ms, one.decided_ms) for one in together), max)
    lasts = accumulate((one.decided_ms or math.inf for one in reversed(together)), min)
    return zip(firsts, reversed(list(lasts)), strict=True)
