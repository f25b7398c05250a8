"""Who shops: tastes, kinds, time zones, and what they allow. All of it follows from the shop's and the run's seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from load_tests.shop.draws import arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from load_tests.shop.file import Kind, Shop
    from load_tests.shop.goods import Goods

    Floats = NDArray[np.float64]

LIKED_CATEGORIES: Final = 3
_BUDGET_PULL: Final = 0.8
_FASHION_PULL: Final = 0.3


@dataclass(frozen=True, slots=True)
class People:
    """Shoppers by number. ``kinds``: what kind each is of; ``liking`` [m, n]: standardised over the items of each;
    ``visits``: a week; ``consent``: yes, no, or nothing said; ``quiet``: from and until, hours, or None.
    """

    kinds: tuple[str, ...]
    liking: Floats
    visits: Floats
    zones: tuple[ZoneInfo, ...]
    consent: tuple[bool | None, ...]
    quiet: tuple[tuple[int, int] | None, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def local(self, shopper: int, time_ms: int) -> datetime:
        """What the shopper's clock shows."""
        return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(self.zones[shopper])

    def preferences(self, shopper: int, consent: bool | None) -> dict[str, Any]:  # noqa: FBT001
        """All that holds, as the contract wants it."""
        found: dict[str, Any] = {"time_zone": self.zones[shopper].key}
        if consent is not None:
            found["consent"] = consent
        quiet = self.quiet[shopper]
        if quiet is not None:
            found["quiet_hours"] = [f"{hour % 24:02d}:00" for hour in quiet]
        return found


def user_id(shopper: int) -> str:
    """As the shopper is called on the topics."""
    return f"shopper-{shopper}"


def populate(shop: Shop, goods: Goods, seed: int) -> People:
    """The shoppers of one run."""
    rng = arrays(shop.seed, seed, "people")
    m, said = shop.shoppers, shop.preferences
    names = list(shop.types)
    kinds = [names[n] for n in rng.choice(len(names), m, p=[shop.types[name].share for name in names])]
    zones = list(shop.zones)
    zone = [ZoneInfo(zones[n]) for n in rng.choice(len(zones), m, p=list(shop.zones.values()))]
    rates = np.array([shop.types[name].visits for name in kinds])
    spread = shop.rhythm.visits_spread
    visits = shop.rhythm.visits_per_week * rates * rng.lognormal(-spread * spread / 2, spread, m)
    word = rng.random(m)
    consent = [True if w < said.yes else False if w < said.yes + said.no else None for w in word]
    quiet: list[tuple[int, int] | None] = []
    for has in rng.random(m) < said.quiet:
        hours = int(rng.integers(*_span(said.quiet_from))), int(rng.integers(*_span(said.quiet_until)))
        quiet.append(hours if has else None)
    liking = likings(shop, goods, tastes(shop, goods, m, rng), rng.normal(size=m))
    return People(tuple(kinds), liking, visits, tuple(zone), tuple(consent), tuple(quiet))


def kind_of(shop: Shop, people: People, shopper: int) -> Kind:
    """What a push does to this shopper."""
    return shop.types[people.kinds[shopper]]


def _span(hours: tuple[int, int]) -> tuple[int, int]:
    return hours[0], hours[1] + 1


def tastes(shop: Shop, goods: Goods, shoppers: int, rng: np.random.Generator) -> Floats:
    """Hidden tastes [m, factors]: a mixture of what a few categories are, and something of one's own."""
    categories = len(goods.centres)
    taste: Floats = 0.5 * rng.normal(size=(shoppers, shop.catalog.factors))
    for shopper in range(shoppers):
        liked = rng.choice(categories, min(LIKED_CATEGORIES, categories), replace=False)
        taste[shopper] += rng.dirichlet(np.ones(len(liked))) @ goods.centres[liked]
    return taste


def likings(shop: Shop, goods: Goods, taste: Floats, budget: Floats) -> Floats:
    """How much each of shoppers likes each item [m, n], standardised over the items, by their tastes [m, factors] and
    by ``budget`` [m], in standard deviations of the usual price's logarithm.
    """
    fits = taste @ goods.vectors.T / np.sqrt(shop.catalog.factors)
    usual = np.log(shop.catalog.price_median) + shop.rhythm.budget_spread * budget
    dear = np.abs(np.log(goods.price[:, 0])[None, :] - usual[:, None])
    known = np.log(goods.popularity)
    raw = fits - _BUDGET_PULL * dear + _FASHION_PULL * (known - known.mean()) / known.std()
    liking: Floats = (raw - raw.mean(axis=1, keepdims=True)) / raw.std(axis=1, keepdims=True)
    return liking
