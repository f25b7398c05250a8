"""What shoppers do of their own accord: the world without pushes, drawn whole before the run begins.

A visit looks at things of one category and the next, by taste and fashion; some begin with a search, some with what was
left in the cart; what is used up is bought again. What was bought once and lasts is not looked at any more. Since all
of this is there beforehand, a push's effect is told exactly: it adds to this stream or takes from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from load_tests.shop.action import Action
from load_tests.shop.draws import arrays
from load_tests.shop.file import HOUR_MS, MINUTE_MS
from load_tests.shop.goods import brand_name
from load_tests.shop.people import kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from load_tests.shop.file import Shop
    from load_tests.shop.goods import Goods
    from load_tests.shop.people import People

    Floats = NDArray[np.float64]

SAME_CATEGORY: Final = 0.55
"""Chance that the next view stays in the category."""
RETURN_TO_CART: Final = 0.3
"""Chance that a visit begins with what was left in the cart."""
RESTOCK: Final = 0.6
"""Chance that a visit takes along a thing that is used up."""
STAPLES: Final = 10
VIEW_MS: Final = 40_000
_NEVER: Final = -(1 << 60)


def relevance(liking: Floats, steepness: float, middle: float) -> Floats:
    """Between 0 and 1, of standardised liking."""
    found: Floats = 1.0 / (1.0 + np.exp(-steepness * (liking - middle)))
    return found


def organic(shop: Shop, goods: Goods, people: People, seed: int) -> list[Action]:
    """Every view, search, cart and order of the run without pushes, in time order."""
    found: list[Action] = []
    for shopper in range(len(people)):
        found += _Life(shop, goods, people, shopper, seed).visits()
    return sorted(found, key=lambda action: (action.time_ms, action.id))


class _Life:
    """One shopper's visits."""

    def __init__(self, shop: Shop, goods: Goods, people: People, shopper: int, seed: int) -> None:
        self._shop, self._goods, self._people, self._shopper = shop, goods, people, shopper
        self._rng = arrays(shop.seed, seed, "life", shopper)
        self._kind = kind_of(shop, people, shopper)
        liking = people.liking[shopper]
        self._suits = relevance(liking, shop.push.steepness, shop.push.middle)
        self._pull = goods.popularity * np.exp(shop.rhythm.narrow * liking)
        again = np.flatnonzero(goods.cycle_ms)
        self._staples = again[np.argsort(-liking[again])[:STAPLES]]
        self._bought = np.full(len(goods), _NEVER)
        # What is used up at the beginning was bought at some time before it.
        for item in self._staples:
            self._bought[item] = shop.start_ms - int(self._rng.random() * goods.cycle_ms[item])
        self._cart: list[int] = []
        self._found: list[Action] = []
        self._number = 0

    def visits(self) -> list[Action]:
        rhythm, shop = self._shop.rhythm, self._shop
        whole = sum(rhythm.hours) * sum(rhythm.days_of_week)
        hours = shop.days * 24
        lots, minutes = self._rng.random(hours), self._rng.random(hours)
        busy_until = 0
        for hour in range(hours):
            begins = shop.start_ms + hour * HOUR_MS
            local = self._people.local(self._shopper, begins)
            rate = rhythm.hours[local.hour] * rhythm.days_of_week[local.weekday()] / whole
            begins += int(minutes[hour] * HOUR_MS)
            if lots[hour] < 1.0 - np.exp(-self._people.visits[self._shopper] * rate) and begins > busy_until:
                busy_until = self._visit(begins) + 30 * MINUTE_MS
        return [action for action in self._found if action.time_ms < shop.end_ms]

    def _visit(self, time_ms: int) -> int:
        """One visit; gives when it ends."""
        rng, rhythm = self._rng, self._shop.rhythm
        open_ = self._goods.to_be_had(time_ms) & ~self._has(time_ms)
        weights = np.where(open_, self._pull, 0.0)
        if not weights.any():
            return time_ms
        cart: list[int] = []
        first = _pick(weights, rng)
        left = [item for item in self._cart if open_[item]]
        if left and rng.random() < RETURN_TO_CART:
            first = left[-1]
        elif rng.random() < rhythm.search:
            category, brand = int(self._goods.category[first]), brand_name(int(self._goods.brand[first]))
            self._do(time_ms, "search", query=f"{brand} category {category}")
            time_ms += 1 + int(rng.exponential(VIEW_MS / 2))
        at = first
        for n in range(1 + int(rng.poisson(rhythm.views - 1))):
            if n:
                near = weights * (self._goods.category == self._goods.category[at])
                at = _pick(near if rng.random() < SAME_CATEGORY else weights, rng)
            self._do(time_ms, "view", (at,))
            time_ms += 1 + int(rng.exponential(VIEW_MS))
            if at not in cart and rng.random() < rhythm.cart * self._suits[at]:
                cart.append(at)
                self._do(time_ms, "cart", (at,))
                time_ms += 1 + int(rng.exponential(VIEW_MS / 4))
        for item in self._used_up(time_ms, open_):
            if item not in cart and rng.random() < RESTOCK:
                cart.append(item)
                self._do(time_ms, "cart", (item,))
                time_ms += 1 + int(rng.exponential(VIEW_MS / 4))
        self._check_out(time_ms + MINUTE_MS, cart)
        return time_ms + MINUTE_MS

    def _check_out(self, time_ms: int, cart: list[int]) -> None:
        chance = min(0.95, self._shop.rhythm.buy * self._kind.buys)
        # One draw for the visit: who pays, pays for what is in the cart.
        bought = tuple(cart) if cart and self._rng.random() < chance else ()
        if bought:
            self._do(time_ms, "purchase", bought)
            self._bought[list(bought)] = time_ms
        self._cart = [item for item in (*self._cart, *cart) if item not in bought][-5:]

    def _has(self, time_ms: int) -> NDArray[np.bool_]:
        """What was bought and lasts, or is not used up yet."""
        cycle = self._goods.cycle_ms
        had: NDArray[np.bool_] = self._bought > _NEVER
        has: NDArray[np.bool_] = had & ((cycle == 0) | (time_ms - self._bought < cycle))
        return has

    def _used_up(self, time_ms: int, open_: NDArray[np.bool_]) -> list[int]:
        due = self._bought[self._staples] + self._goods.cycle_ms[self._staples] <= time_ms
        return [int(item) for item in self._staples[due & open_[self._staples]]]

    def _do(self, time_ms: int, kind: str, items: tuple[int, ...] = (), query: str = "") -> None:
        self._number += 1
        identity = f"o-{self._shopper}-{self._number}"
        self._found.append(Action(time_ms, identity, kind, self._shopper, tuple(map(int, items)), query))


def _pick(weights: Floats, rng: np.random.Generator) -> int:
    ends = np.cumsum(weights)
    return int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
