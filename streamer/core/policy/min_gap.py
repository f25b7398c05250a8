"""Two pushes keep a distance, which each dismissal doubles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, settings: PolicySettings) -> bool:
    """The last push is nearer than the gap."""
    return room(case, settings) > case.now_ms


def room(case: Case, settings: PolicySettings) -> int:
    """When the last push is as far away as the gap."""
    if not case.sent:
        return case.now_ms
    doublings = min(case.standing.dismissals, settings.dismissal_doublings)
    return max(case.now_ms, case.sent[-1].time_ms + (settings.min_gap_ms << doublings))


RULE = CheapRule("min_gap", "the last push is too recent", refuses, room=room)
