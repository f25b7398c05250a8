"""What a message is told of its first item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.events import group_key
from streamer.core.exactmath import exp2
from streamer.core.names import NONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.index import ItemIndex


def words(dense: int, index: ItemIndex, campaign: Campaign, before_cents: int = 0) -> dict[str, str]:
    """The message's variables, "" for what is not known of the item, its fixed words, and those of its coupon.

    ``before_cents``: what the item cost before (0: unknown).
    """
    message, coupon = campaign.message, campaign.coupon
    told = {name: VARIABLES[name](dense, index) if name in VARIABLES else "" for name in message.variables}
    if PRICE_WAS in told:
        told[PRICE_WAS] = _money(before_cents)
    told |= dict(message.fixed)
    return told if coupon is None else told | coupon.words()


def price_cents(dense: int, index: ItemIndex) -> int:
    """An item's price as the catalog tells it, else as events do; 0 if neither does."""
    entry, log_price = index.entry(dense), float(index.price[dense])
    cents = entry.price_cents if entry is not None else 0
    if not cents and log_price == log_price:  # noqa: PLR0124 -- NaN
        cents = round(float(exp2(log_price)))
    return cents


def category_of(dense: int, index: ItemIndex) -> int:
    """``group_key`` of an item's category; 0 if none is known."""
    category = int(index.category[dense])
    return 0 if category == NONE else group_key(index.categories.names[category])


def _price(dense: int, index: ItemIndex) -> str:
    return _money(price_cents(dense, index))


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}" if cents else ""


def _brand(dense: int, index: ItemIndex) -> str:
    brand = int(index.brand[dense])
    return "" if brand == NONE else index.brands.names[brand]


def _category(dense: int, index: ItemIndex) -> str:
    category = int(index.category[dense])
    return "" if category == NONE else index.categories.names[category]


def _title(dense: int, index: ItemIndex) -> str:
    return index.title(dense) or index.id_of(dense)


VARIABLES: Final[dict[str, Callable[[int, ItemIndex], str]]] = {
    "title": _title,
    "brand": _brand,
    "price": _price,
    "category": _category,
}
"""What a message may be told: ``title`` (the id if there is none), ``brand``, ``price`` and ``category``."""

PRICE_WAS: Final = "price_was"
"""What the first item cost before; of a campaign that waits for drops of prices."""
