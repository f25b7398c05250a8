"""How tired a shopper is of pushes: each that was dismissed or ignored makes the next one dearer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.exactmath import exp2
from streamer.core.settings import WEEK_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def tired_of(case: Case, settings: PolicySettings) -> int:
    """How many pushes in a row were dismissed, or ignored lately.

    Dismissals count since the last click. A push is ignored once ``ignored_after_ms`` have passed and nothing was
    opened or clicked since it was sent, and for a week then; one that was only held back, or never reached the shopper,
    is not.
    """
    standing = case.standing
    until = case.now_ms - settings.ignored_after_ms
    since = max(standing.engaged_ms, until - WEEK_MS)
    seen = [push for push in case.sent if not push.ghost and push.mark not in standing.failed_marks]
    ignored = sum(since < push.time_ms <= until for push in seen)
    # What was dismissed was not opened: it is among those already, or too young to be.
    return max(standing.dismissals, ignored)


def price(case: Case, settings: PolicySettings) -> float:
    """What a score must be greater by than for a shopper who is not tired: a factor of at least 1."""
    if not settings.fatigue_bits:
        return 1.0
    return float(exp2(min(settings.fatigue_bits * tired_of(case, settings), settings.fatigue_most_bits)))
