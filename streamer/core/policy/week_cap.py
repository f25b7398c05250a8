"""At most so many pushes in any 7 days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule
from streamer.core.settings import WEEK_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, settings: PolicySettings) -> bool:
    """The 7 days up to now hold as many pushes as allowed."""
    return room(case, settings) > case.now_ms


def room(case: Case, settings: PolicySettings) -> int:
    """When the oldest of as many pushes as allowed is out of the 7 days."""
    at = len(case.sent) - settings.per_week
    if settings.per_week <= 0 or at < 0:
        return case.now_ms
    return max(case.now_ms, case.sent[at].time_ms + WEEK_MS)


RULE = CheapRule("week_cap", "the shopper has had the pushes of a week", refuses, room=room)
