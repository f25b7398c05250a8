"""A campaign is for its audience."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.policy.rule import CheapRule

if TYPE_CHECKING:
    from streamer.core.policy.rule import Case
    from streamer.core.settings import PolicySettings


def refuses(case: Case, _settings: PolicySettings) -> bool:
    """The shopper is none of those the campaign is for."""
    return not case.member


RULE = CheapRule("audience", "the campaign is for other shoppers", refuses)
