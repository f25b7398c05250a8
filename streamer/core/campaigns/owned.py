"""Which of a campaign's own items the shopper has, so that there is nothing to be said about them.

What is bought again and again is in the cart again: there it is a reminder's business, however often it was bought. To
look at something once more is less than that: who has just bought it looks where the parcel is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.campaigns.watching import watch_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from streamer.core.ask import Ask
    from streamer.core.campaigns.watching import Watching
    from streamer.core.profile import Profile

CHOSEN_BY: Final = frozenset({"cart", "wishlist", "checkout"})
"""Events that say that a shopper wants an item, whether or not they have one."""


def owned_by(ask: Ask, bought: frozenset[int], profile: Profile, watching: Watching) -> frozenset[int]:
    """The keys of what the shopper ``bought`` that the campaign is silent about."""
    listing = ask.case.campaign.listing
    if listing.again:
        return frozenset()
    if listing.source != "trigger":
        return bought
    chosen, chosen_ms = _chosen(ask, watching), ask.event.time
    return frozenset(each.key for each in profile.bought() if each.key not in chosen or each.time_s * 1000 >= chosen_ms)


def _chosen(ask: Ask, watching: Watching) -> Collection[int]:
    """What the campaign is about that the shopper has said they want, since it was bought if it was: a purchase takes
    its items out of timers, and rows of who watches them out of the table.
    """
    triggers = ask.case.campaign.triggers
    if not triggers.watches:
        return ask.keys if CHOSEN_BY.issuperset(triggers.on) else ()
    rows = {key: watching.get(watch_key(key, ask.event.user)) for key in ask.keys}
    return [key for key, row in rows.items() if row and not CHOSEN_BY.isdisjoint(row.types)]
