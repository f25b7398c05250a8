"""The campaigns that are on, found by what happens: an event that no campaign reacts to costs one look-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.campaigns.campaign import Campaign


class Reactions(msgspec.Struct, frozen=True, gc=False):
    """What an event of one type sets off: campaigns that ask at once, timers that are armed, taken back, or lose items.

    ``timed``: whether any timer is touched. ``watch``: whether a campaign wants to be told of its items from then on.
    """

    ask: tuple[Campaign, ...] = ()
    arm: tuple[Campaign, ...] = ()
    cancel: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()
    watch: bool = False

    @property
    def timed(self) -> bool:
        """Whether an event of this type may change what is armed."""
        return bool(self.arm or self.cancel or self.drop)


class Book:
    """``by_name``: every campaign. ``reactions``: by event type, those types alone that anything reacts to.

    ``caps_ms``: how far back the campaigns' own gaps look at most; their other caps look a week back. ``watching``:
    those that wait for news of what a shopper watches, and ``watch_ms``: for how long at most.
    """

    __slots__ = ("by_name", "caps_ms", "reactions", "watch_ms", "watching")

    def __init__(self, campaigns: Sequence[Campaign]) -> None:
        self.by_name = {campaign.name: campaign for campaign in campaigns}
        self.caps_ms = max((campaign.caps.min_gap_ms for campaign in campaigns), default=0)
        self.watching = tuple(campaign for campaign in campaigns if campaign.triggers.watches)
        self.watch_ms = max((campaign.triggers.within_ms for campaign in self.watching), default=0)
        types: dict[str, None] = {}
        for campaign in campaigns:
            triggers = campaign.triggers
            types.update(dict.fromkeys((*triggers.on, *triggers.cancel_on, *triggers.drop_on)))
            if _bought("purchase", campaign):
                types["purchase"] = None
        self.reactions = {name: _reactions(name, campaigns) for name in types}


def _bought(event_type: str, campaign: Campaign) -> bool:
    """Whether an event takes what it is about from a campaign that is about its own items, and shows none of these."""
    listing = campaign.listing
    return event_type == "purchase" and listing.source == "trigger" and not listing.again


def _reactions(event_type: str, campaigns: Sequence[Campaign]) -> Reactions:
    on = [campaign for campaign in campaigns if event_type in campaign.triggers.on]
    return Reactions(
        ask=tuple(campaign for campaign in on if campaign.triggers.at_once),
        arm=tuple(campaign for campaign in on if not (campaign.triggers.at_once or campaign.triggers.watches)),
        cancel=frozenset(c.name for c in campaigns if event_type in c.triggers.cancel_on),
        drop=frozenset(c.name for c in campaigns if event_type in c.triggers.drop_on or _bought(event_type, c)),
        watch=any(campaign.triggers.watches for campaign in on),
    )
