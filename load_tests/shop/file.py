"""A shop as a file: all that the simulated shop is made from. ``shops/`` has three; any other file will do.

What each field means is said in ``shops/fashion.toml``, next to its value. Nothing has a default, so that a shop is
wholly what its file says, and a field that nobody knows is refused.
"""

from __future__ import annotations

import math
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

SHIPPED: Final = Path(__file__).parent / "shops"
DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000

_LEFT_OF_SHARES: Final = 1e-9


class ShopFileError(ValueError):
    """The file is no shop; the message says where and why."""


class Catalog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sold."""

    items: int
    categories: int
    brands: int
    factors: int
    within: float
    price_median: float
    price_spread: float
    popularity_skew: float
    out_of_stock: float
    price_drops: float
    price_drop_by: float
    arrivals: float
    replenished: float
    replenish_days: float


class Rhythm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When shoppers come and what they do then."""

    visits_per_week: float
    visits_spread: float
    hours: tuple[float, ...]
    days_of_week: tuple[float, ...]
    views: float
    narrow: float
    search: float
    cart: float
    buy: float
    budget_spread: float


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shoppers allow."""

    yes: float
    no: float
    quiet: float
    quiet_from: tuple[int, int]
    quiet_until: tuple[int, int]
    changes_per_month: float


class Push(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How pushes are taken."""

    steepness: float
    middle: float
    warm_hours: float
    warm_view: float
    warm_cart: float
    fatigue_half_life_days: float
    fatigue_attention: float
    fatigue_annoyance: float
    reply_minutes: float
    night: float
    brought_forward_days: float
    suppress_days: float


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What things are worth, in the currency of the prices; ``margin`` is a share of the price."""

    margin: float
    opt_out: float
    dismissal: float


class Kind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of shopper: how much a push changes."""

    share: float
    visits: float
    buys: float
    click: float
    buy: float
    forward: float
    dismiss: float
    leave: float
    lost: float


class Shop(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. ``types``: the mix of shoppers, by name; ``zones``: shares of time zones."""

    name: str
    start: datetime
    days: int
    shoppers: int
    step_minutes: int
    seed: int
    catalog: Catalog
    rhythm: Rhythm
    zones: dict[str, float]
    preferences: Allowed
    push: Push
    money: Money
    types: dict[str, Kind]

    @property
    def start_ms(self) -> int:
        """When the simulation begins, milliseconds since the epoch."""
        return int(self.start.timestamp() * 1000)

    @property
    def end_ms(self) -> int:
        """When it ends."""
        return self.start_ms + self.days * DAY_MS

    @property
    def step_ms(self) -> int:
        """How far time advances at once."""
        return self.step_minutes * MINUTE_MS


def read(source: str | Path) -> Shop:
    """The shop of a file, or the shipped one of that name. Raises ``ShopFileError``."""
    path = Path(source)
    shipped = SHIPPED / f"{source}.toml"
    if not path.is_file() and shipped.exists():
        path = shipped
    try:
        shop = msgspec.toml.decode(path.read_bytes(), type=Shop)
    except (OSError, msgspec.DecodeError) as error:
        names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise ShopFileError(f"{path}: {error} (shops at hand: {names})") from error
    if problems := _problems(shop):
        raise ShopFileError("\n".join(f"{path}: {problem}" for problem in problems))
    return shop


def _problems(shop: Shop) -> list[str]:
    found = []
    for name, shares in (("zones", shop.zones.values()), ("types", [kind.share for kind in shop.types.values()])):
        if not math.isclose(sum(shares), 1.0, abs_tol=_LEFT_OF_SHARES):
            found.append(f"the shares of {name} sum to {sum(shares)}, not to 1")
    if len(shop.rhythm.hours) != 24 or len(shop.rhythm.days_of_week) != 7:
        found.append("rhythm.hours has 24 numbers and rhythm.days_of_week 7")
    if shop.start.tzinfo is None:
        found.append("start has no zone: end it with Z")
    for name in ("days", "shoppers", "step_minutes"):
        if getattr(shop, name) < 1:
            found.append(f"{name} is less than 1")
    for zone in shop.zones:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            found.append(f"zones: there is no time zone {zone!r}")
    return found
