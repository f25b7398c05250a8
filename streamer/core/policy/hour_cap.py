"""At most so many pushes in any hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule
from streamer.core.settings import HOUR_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, settings: PolicySettings) -> bool:
    """The hour up to now holds as many pushes as allowed."""
    since = case.now_ms - HOUR_MS
    return sum(push.time_ms > since for push in case.sent) >= settings.per_hour


RULE = CheapRule("hour_cap", "the shopper has had the pushes of an hour", refuses)
