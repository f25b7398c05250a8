"""Only a share of the triggers is ranked, to bound the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, settings: PolicySettings) -> bool:
    """The event's seeded draw is not within the share."""
    return case.draw >= settings.rank_rate


RULE = CheapRule("not_sampled", "the event was not drawn", refuses)
