"""Asking the rules: of a case before ranking, of its ranked items after."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.campaigns.book import Book
from streamer.core.campaigns.campaign import NEXT
from streamer.core.policy import fatigue
from streamer.core.policy.experiments import Splits
from streamer.core.policy.expired import expiry_ms
from streamer.core.policy.registry import CHEAP_RULES, FINAL_RULES, ITEM_RULES, NO_CANDIDATES, RULES, SENT
from streamer.core.policy.state import Sent
from streamer.core.zones import NO_ZONES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.policy.experiments import Experiment
    from streamer.core.policy.proposal import Proposal
    from streamer.core.policy.rule import Case, FinalRule, Offer
    from streamer.core.settings import PolicySettings
    from streamer.core.zones import Zones


_CHEAP: Final = tuple((rule.name, rule.refuses) for rule in CHEAP_RULES)
_UNTIL: Final = {rule.name: rule.until for rule in CHEAP_RULES if rule.until is not None}
_ROOM: Final = {rule.name: rule.room for rule in CHEAP_RULES if rule.room is not None}


def cheap_refusal(case: Case, settings: PolicySettings) -> str | None:
    """The name of the first cheap rule that refuses the case."""
    for name, refuses in _CHEAP:
        if refuses(case, settings):
            return name
    return None


def open_again(refusal: str, case: Case, settings: PolicySettings) -> int | None:
    """When to ask anew what a rule refused that says so itself, as quiet hours do; ``None``: not for that."""
    return _UNTIL[refusal](case, settings) if refusal in _UNTIL else None


def room_again(refusal: str, case: Case, settings: PolicySettings) -> int | None:
    """When to ask anew what a cap refused: all of them have room then, and the candidate would still hold. ``None``:
    there is no such time, or it was no cap.
    """
    return _room(case, settings) if refusal in _ROOM else None


def room_after_push(case: Case, settings: PolicySettings) -> int | None:
    """The same, if a push is sent now."""
    return _room(msgspec.structs.replace(case, sent=(*case.sent, Sent(case.now_ms, "", ()))), settings)


def _room(case: Case, settings: PolicySettings) -> int | None:
    until, last_ms = case.now_ms, case.time_ms + expiry_ms(case, settings)
    for room in _ROOM.values():
        at_ms = room(case, settings)
        if at_ms is None or at_ms >= last_ms:
            return None
        until = max(until, at_ms)
    return until


def final_refusal(proposal: Proposal, settings: PolicySettings) -> FinalRule | None:
    """The first final rule that refuses a proposal."""
    return next((rule for rule in FINAL_RULES if rule.refuses(proposal, settings)), None)


def choose(
    offers: Iterable[Offer], case: Case, settings: PolicySettings, count: int | None = None
) -> tuple[str, list[int]]:
    """The reason, and the places in the ranking of the items to show: ``sent`` and one to ``slate_items`` of them.

    ``count``: so many instead, where there is more to choose from than is shown.

    ``offers`` are in order of rank, best first. Without an item left the reason is what refused the best one, or that
    there was none.
    """
    case.price = fatigue.price(case, settings)
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
            if len(chosen) == (settings.slate_items if count is None else count):
                break
    return (SENT, chosen) if chosen else (first_refusal, [])


def policy_version(
    settings: PolicySettings,
    campaigns: Sequence[Campaign] = (),
    zones: str = "",
    experiments: Sequence[Experiment] = (),
) -> str:
    """Six hex digits that change with any setting, campaign or experiment, the zone database and the rules."""
    rules = [rule.name for rule in RULES]
    return blake2b(msgspec.json.encode([rules, settings, campaigns, zones, experiments]), digest_size=3).hexdigest()


class Policy:
    """The settings the rules are asked with, the campaigns that are on, the zones, and the version of all.

    ``seed`` is of what is explored. ``of(user)`` gives the terms of a shopper: the settings, as changed by the arms of
    experiments.
    """

    def __init__(
        self,
        settings: PolicySettings,
        seed: int = 1,
        campaigns: Sequence[Campaign] = (NEXT,),
        zones: Zones = NO_ZONES,
        experiments: Sequence[Experiment] = (),
    ) -> None:
        self.settings = settings
        self.seed = seed
        self.book = Book(campaigns)
        self.zones = zones
        self.of = Splits(settings, experiments).of
        self.version = policy_version(settings, campaigns, zones.version, experiments)
