"""Asking the rules: of a case before ranking, of its ranked items after."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.policy.registry import CHEAP_RULES, ITEM_RULES, NO_CANDIDATES, RULES, SENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.policy.rule import Case, Offer
    from streamer.core.settings import PolicySettings


_CHEAP: Final = tuple((rule.name, rule.refuses) for rule in CHEAP_RULES)


def cheap_refusal(case: Case, settings: PolicySettings) -> str | None:
    """The name of the first cheap rule that refuses the case."""
    for name, refuses in _CHEAP:
        if refuses(case, settings):
            return name
    return None


def choose(offers: Iterable[Offer], case: Case, settings: PolicySettings) -> tuple[str, list[int]]:
    """The reason, and the places in the ranking of the items to show: ``sent`` and one to ``slate_items`` of them.

    ``offers`` are in order of rank, best first. Without an item left the reason is what refused the best one, or that
    there was none.
    """
    chosen: list[int] = []
    first_refusal = NO_CANDIDATES
    for place, offer in enumerate(offers):
        for rule in ITEM_RULES:
            if rule.refuses(offer, case, settings):
                if first_refusal == NO_CANDIDATES:
                    first_refusal = rule.name
                break
        else:
            chosen.append(place)
            if len(chosen) == settings.slate_items:
                break
    return (SENT, chosen) if chosen else (first_refusal, [])


def policy_version(settings: PolicySettings) -> str:
    """Six hex digits that change with any setting of the policy and with the list of rules."""
    rules = [rule.name for rule in RULES]
    return blake2b(msgspec.json.encode([rules, settings]), digest_size=3).hexdigest()


class Policy:
    """The settings the rules are asked with, and their version."""

    def __init__(self, settings: PolicySettings) -> None:
        self.settings = settings
        self.version = policy_version(settings)
