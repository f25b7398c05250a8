"""A decision needs the profile as of its event; an older event's is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, _settings: PolicySettings) -> bool:
    """The user has an event newer than this one."""
    return case.time_ms < case.newest_ms


RULE = CheapRule("out_of_order", "a newer event of the shopper came first", refuses)
