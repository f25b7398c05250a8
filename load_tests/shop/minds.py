"""What a push does to a shopper: the response that the engine is to find out, and its worth in money.

Relevance is liking through a sigmoid, 0 of what the shopper has. A click is likelier the more relevant the item is,
the fresher the shopper's interest, and the less they are tired of pushes; how much likelier, and whether it sells what
would not have been bought, is the kind's. Every push tires, and is forgotten by half in a time of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from load_tests.shop.file import DAY_MS, HOUR_MS
from load_tests.shop.organic import relevance
from load_tests.shop.people import kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from load_tests.shop.action import Action
    from load_tests.shop.file import Kind, Push, Shop
    from load_tests.shop.goods import Goods
    from load_tests.shop.people import People

    Floats = NDArray[np.float64]

NIGHT_ENDS: Final = 7
NIGHT_BEGINS: Final = 23
SHOWN: Final = (1.0, 0.7, 0.5)
"""What an item counts for by its place in the push."""
OPENED: Final = 0.15
"""Chance that a push which is not clicked is looked at."""
IRRELEVANT: Final = 1.3
"""So many times the kind's is the chance of an opt-out where relevance is 0, and less by the relevance."""
_LONG_AGO: Final = -(1 << 60)
_MOST: Final = 0.95


@dataclass(frozen=True, slots=True)
class Chances:
    """Of pushing each item [n]: that it is clicked, dismissed, and answered by an opt-out; ``buy``: of a click, that it
    sells what would not have been bought; ``worth``: in expected money.
    """

    click: Floats
    dismiss: Floats
    leave: Floats
    buy: float
    lost: float
    worth: Floats


def faded(pushes: float, ago_ms: int, push: Push) -> float:
    """What is not yet forgotten of so many ``pushes``, that long after the last of them."""
    return pushes * float(0.5 ** (max(0, ago_ms) / DAY_MS / push.fatigue_half_life_days))


class Minds:
    """How shoppers feel about pushes and items right now; changed by what they do and what they get."""

    def __init__(self, shop: Shop, goods: Goods, people: People, order_worth: float) -> None:
        """``order_worth``: the margin of an order, in the mean."""
        m, n = len(people), len(goods)
        self._shop, self._goods, self._people, self._order_worth = shop, goods, people, order_worth
        self._viewed = np.full((m, n), _LONG_AGO)
        self._carted = np.full((m, n), _LONG_AGO)
        self._bought = np.full((m, n), _LONG_AGO)
        self._tired = np.zeros(m)
        self._tired_ms = np.zeros(m, np.int64)
        self._suits = relevance(people.liking, shop.push.steepness, shop.push.middle)

    def took(self, action: Action) -> None:
        """The shopper did something with items."""
        table = {"view": self._viewed, "cart": self._carted, "purchase": self._bought}.get(action.type)
        if table is not None and action.items:
            table[action.shopper, list(action.items)] = action.time_ms

    def fatigue(self, shopper: int, time_ms: int) -> float:
        """Pushes not yet forgotten."""
        return faded(float(self._tired[shopper]), time_ms - int(self._tired_ms[shopper]), self._shop.push)

    def pushed(self, shopper: int, time_ms: int) -> None:
        """One push more."""
        self._tired[shopper] = self.fatigue(shopper, time_ms) + 1.0
        self._tired_ms[shopper] = max(time_ms, int(self._tired_ms[shopper]))

    def wanted(self, shopper: int, time_ms: int) -> Floats:
        """Relevance of each item [n]; 0 of what cannot be had, is not used up, or lasts and is there already."""
        bought, cycle = self._bought[shopper], self._goods.cycle_ms
        age = np.maximum(time_ms - bought, 0)
        left = np.where(cycle > 0, np.minimum(1.0, (age / np.maximum(cycle, 1)) ** 2), 0.0)
        need = np.where(bought > _LONG_AGO, left, 1.0)
        found: Floats = self._suits[shopper] * need * self._goods.to_be_had(time_ms)
        return found

    def chances(self, shopper: int, time_ms: int, *, by_day: bool = False, kind: Kind | None = None) -> Chances:
        """What would come of a push of each item now. ``by_day``: as if it were not night. ``kind``: as if the shopper
        were of that one.
        """
        push, money = self._shop.push, self._shop.money
        kind = kind or kind_of(self._shop, self._people, shopper)
        wanted, tired = self.wanted(shopper, time_ms), self.fatigue(shopper, time_ms)
        hour = self._people.local(shopper, time_ms).hour
        night = not by_day and (hour < NIGHT_ENDS or hour >= NIGHT_BEGINS)
        attention = np.exp(-push.fatigue_attention * tired) * (push.night if night else 1.0)
        annoyed = np.exp(push.fatigue_annoyance * tired)
        click = np.minimum(_MOST, kind.click * wanted * self.warm(shopper, time_ms) * attention)
        dismiss = np.minimum(_MOST, kind.dismiss * np.sqrt(annoyed) * (1.0 - wanted)) * (1.0 - click)
        leave = np.minimum(_MOST, kind.leave * annoyed * (IRRELEVANT - wanted))
        lost = min(0.5, kind.lost * float(annoyed))
        price = self._goods.price[:, self._goods.day(time_ms)]
        worth = click * kind.buy * money.margin * price
        worth = worth - leave * money.opt_out - dismiss * money.dismissal - lost * self._order_worth
        return Chances(click, dismiss, leave, kind.buy, lost, worth)

    def best(self, shopper: int, time_ms: int) -> float:
        """The expected money of the best push to the shopper by day, or of silence."""
        worth = self.chances(shopper, time_ms, by_day=True).worth
        there = self._goods.to_be_had(time_ms)
        return max(0.0, float(worth[there].max(initial=0.0)))

    def warm(self, shopper: int, time_ms: int) -> Floats:
        """How much stronger a push is about what was looked at or left in the cart lately."""
        push = self._shop.push
        since = time_ms - int(push.warm_hours * HOUR_MS)
        open_ = self._bought[shopper] < np.maximum(self._viewed[shopper], self._carted[shopper])
        found: Floats = np.where(open_ & (self._viewed[shopper] > since), push.warm_view, 1.0)
        return np.where(open_ & (self._carted[shopper] > since), push.warm_cart, found)
