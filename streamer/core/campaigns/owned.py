"""Which of a campaign's own items the shopper has, so that there is nothing to be said about them.

What is bought again and again is in the cart again: there it is a reminder's business, however often it was bought. To
look at something once more is less than that: who has just bought it looks where the parcel is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

    from streamer.core.profile import Profile

CHOSEN_BY: Final = frozenset({"cart", "wishlist", "checkout"})
"""Events that say that a shopper wants an item, whether or not they have one."""


def owned(profile: Profile, chosen: Collection[int], chosen_ms: int) -> frozenset[int]:
    """The keys of what the shopper bought, but for what they have ``chosen`` since: it was bought before that."""
    return frozenset(
        bought.key for bought in profile.bought() if bought.key not in chosen or bought.time_s * 1000 >= chosen_ms
    )
