"""What the shop sells: items with hidden factors, categories, brands and prices, and what happens to them day by day.

An item's hidden vector is its category's, and a smaller part of its own: shoppers who like one item of a category
tend to like others. When things lack, get cheaper or are new follows from the seed alone, never from what is sold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from load_tests.shop.draws import arrays, draws
from load_tests.shop.file import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from load_tests.shop.file import Shop

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

PIECES = 100
"""What the catalog says is in stock of what there is."""


@dataclass(frozen=True, slots=True)
class Goods:
    """Items by number. ``vectors`` [n, factors]; ``category``, ``brand``, ``arrives_ms`` [n]; ``popularity`` [n] sums
    to 1; ``cycle_ms`` [n]: how long one lasts, 0 of what is bought once; ``price`` [n, days]; ``there`` [n, days]:
    whether it can be had; ``centres`` [categories, factors].
    """

    vectors: Floats
    centres: Floats
    category: Ints
    brand: Ints
    popularity: Floats
    cycle_ms: Ints
    arrives_ms: Ints
    price: Floats
    there: NDArray[np.bool_]
    start_ms: int

    def __len__(self) -> int:
        return len(self.category)

    def day(self, time_ms: int) -> int:
        """The day of the run, from 0."""
        return min(max(0, (time_ms - self.start_ms) // DAY_MS), int(self.price.shape[1]) - 1)

    def to_be_had(self, time_ms: int) -> NDArray[np.bool_]:
        """Of each item whether it is in the shop [n]."""
        found: NDArray[np.bool_] = self.there[:, self.day(time_ms)] & (self.arrives_ms <= time_ms)
        return found

    def price_of(self, item: int, time_ms: int) -> float:
        """What it costs then."""
        return float(self.price[item, self.day(time_ms)])


def item_id(item: int) -> str:
    """As it is called on the topics."""
    return f"item-{item}"


def category_name(category: int) -> str:
    """As it is called on the topics: a path of two steps."""
    return f"department-{category % 5}.category-{category}"


def brand_name(brand: int) -> str:
    """As it is called on the topics."""
    return f"brand-{brand}"


def stock_up(shop: Shop) -> Goods:
    """All that the shop sells during the run."""
    said = shop.catalog
    rng = arrays(shop.seed, "goods")
    n, days = said.items, shop.days
    centres = rng.normal(size=(said.categories, said.factors))
    category = rng.integers(said.categories, size=n)
    vectors = centres[category] + said.within * rng.normal(size=(n, said.factors))
    popularity = (np.arange(n) + 1.0) ** -said.popularity_skew
    rng.shuffle(popularity)
    level = (
        said.price_spread * rng.normal(size=n) * 0.6 + said.price_spread * rng.normal(size=said.categories)[category]
    )
    base = np.round(said.price_median * np.exp(level), 2)
    price = np.where(rng.random((n, days)) < said.price_drops, base[:, None] * (1 - said.price_drop_by), base[:, None])
    replenished = rng.random(n) < said.replenished
    cycle = said.replenish_days * rng.lognormal(0.0, 0.4, n) * DAY_MS
    arrives = np.where(rng.random(n) < said.arrivals, rng.random(n) * days * DAY_MS, -1.0)
    return Goods(
        vectors=vectors,
        centres=centres,
        category=category,
        brand=rng.integers(said.brands, size=n),
        popularity=popularity / popularity.sum(),
        cycle_ms=np.where(replenished, cycle, 0).astype(np.int64),
        arrives_ms=np.where(arrives < 0, 0, shop.start_ms + arrives).astype(np.int64),
        price=np.maximum(np.round(price, 2), 0.01),
        there=rng.random((n, days)) >= said.out_of_stock,
        start_ms=shop.start_ms,
    )


def catalog_rows(goods: Goods, seed: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """What the shop says of its items: (time, item, catalog entry) by time, the first of each and every change."""
    rows = []
    for item in range(len(goods)):
        first = max(goods.start_ms, int(goods.arrives_ms[item]))
        told = None
        for day in range(goods.day(first), goods.price.shape[1]):
            now = float(goods.price[item, day]), bool(goods.there[item, day])
            if now != told:
                opens = goods.start_ms + day * DAY_MS + int(draws(seed, "opens", item, day).random() * HOUR_MS)
                rows.append((first if told is None else max(first, opens), item, _entry(goods, item, *now)))
                told = now
    return iter(sorted(rows, key=lambda row: row[:2]))


def _entry(goods: Goods, item: int, price: float, there: bool) -> dict[str, Any]:  # noqa: FBT001
    category, brand = int(goods.category[item]), int(goods.brand[item])
    return {
        "title": f"{brand_name(brand)} thing {item} of category {category}",
        "category": category_name(category),
        "brand": brand_name(brand),
        "price": price,
        "stock": PIECES if there else 0,
    }
