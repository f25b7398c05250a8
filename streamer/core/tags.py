"""Words for a shopper, read off the profile; for people and for reasons, never for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.profile import CART, PURCHASE, SEARCH, VIEW, affinities
from streamer.core.settings import DAY_MS, ProfileSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.profile import Profile

# log2 of cents: 100.00 and 20.00 in the currency of the prices.
_BIG_SPENDER: Final = 13.2877
_BARGAIN_HUNTER: Final = 10.9658
_FEW, _MANY = 5, 20

TAGS: Final = (
    "new",
    "returning",
    "lapsed",
    "buyer",
    "window-shopper",
    "cart-abandoner",
    "searcher",
    "big-spender",
    "bargain-hunter",
)
"""All tags but ``loyal:<brand>``."""
_LOYAL_SHARE: Final = 0.6
_LOYAL_INTEREST: Final = 3.0


def tags(
    profile: Profile, now_ms: int, names: Callable[[int], str], settings: ProfileSettings | None = None
) -> list[str]:
    """The tags that hold at ``now_ms``, in a fixed order; ``names`` gives a brand's name for its key ("" if unknown).

    ``new``: at most five events. ``returning``: a second session, the first event more than a day ago. ``lapsed``: no
    event for 30 days. ``buyer``; ``window-shopper``: 20 views or more and neither cart nor purchase.
    ``cart-abandoner``: a cart among the five newest items that was never bought. ``searcher``: a search for every
    three views.
    ``big-spender`` and ``bargain-hunter``: at least five prices, their geometric mean above 100.00 or below 20.00.
    ``loyal:<brand>``: three views' worth of interest in a brand, 60 % of that in all brands.
    """
    views, searches, carts, purchases = (profile.counts[k] for k in (VIEW, SEARCH, CART, PURCHASE))
    found = []
    if sum(profile.counts) <= _FEW:
        found.append("new")
    if profile.sessions > 1 and now_ms - profile.first_ms > DAY_MS:
        found.append("returning")
    if now_ms - profile.last_ms > 30 * DAY_MS:
        found.append("lapsed")
    if purchases:
        found.append("buyer")
    elif views >= _MANY and not carts:
        found.append("window-shopper")
    if any(item.carts and not item.purchases for item in profile.recents()[-_FEW:]):
        found.append("cart-abandoner")
    if searches >= 3 and searches * 3 >= views:
        found.append("searcher")
    if profile.price_weight >= _FEW:
        if profile.price_mean > _BIG_SPENDER:
            found.append("big-spender")
        elif profile.price_mean < _BARGAIN_HUNTER:
            found.append("bargain-hunter")
    brands = affinities(profile.brands, profile.era, now_ms, settings or ProfileSettings())
    total = sum(interest for _, interest in brands)
    for key, interest in brands:
        name = names(key)
        if name and interest >= _LOYAL_INTEREST and interest >= _LOYAL_SHARE * total:
            found.append(f"loyal:{name}")
    return found
