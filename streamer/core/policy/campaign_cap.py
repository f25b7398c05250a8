"""What a campaign's own file allows: so many of its pushes a day and a week, and a gap between two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule
from streamer.core.settings import DAY_MS, WEEK_MS

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, _settings: PolicySettings) -> bool:
    """One of the campaign's windows up to now is full."""
    caps, now_ms = case.campaign.caps, case.now_ms
    if not (caps.per_day or caps.per_week or caps.min_gap_ms):
        return False
    times = [push.time_ms for push in case.sent if push.campaign == case.campaign.name]
    windows = ((caps.per_day, DAY_MS), (caps.per_week, WEEK_MS), (1, caps.min_gap_ms))
    return any(0 < most <= len(times) and times[-most] > now_ms - window for most, window in windows)


RULE = CheapRule("campaign_cap", "the campaign has had its pushes to this shopper", refuses)
