"""At most so many pushes in any 24 hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule
from streamer.core.settings import DAY_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, settings: PolicySettings) -> bool:
    """The 24 hours up to now hold as many pushes as allowed."""
    at = room(case, settings)
    return at is None or at > case.now_ms


def room(case: Case, settings: PolicySettings) -> int | None:
    """When the oldest of as many pushes as allowed is out of the 24 hours."""
    if settings.per_day <= 0:
        return None
    at = len(case.sent) - settings.per_day
    # Pushes are in order of time: the window is full if the one that would be its oldest is in it.
    return case.now_ms if at < 0 else max(case.now_ms, case.sent[at].time_ms + DAY_MS)


RULE = CheapRule("day_cap", "the shopper has had the pushes of a day", refuses, room=room)
