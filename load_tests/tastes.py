"""What shoppers of a simulated shop are likely to like, to somebody who knows its formulas and hidden vectors.

By the rule of Bayes, of what a shopper looked at and put in the cart so far: all that ``load_tests/shop/organic.py``
says of how likely that is, every item's hidden vector among it, and of how tastes and budgets are spread. No engine is
told any of that. Two things are taken for simpler than they are: tastes for normally distributed, and all items for
being there to be looked at, also those that lack or were bought. Tastes are drawn from what is probable after all of
it by a random walk (Metropolis et al., J. Chem. Phys. 21, 1953), for all moments side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from load_tests.shop.file import MINUTE_MS
from load_tests.shop.organic import SAME_CATEGORY, relevance
from load_tests.shop.people import likings, tastes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from load_tests.shop.action import Action
    from load_tests.shop.world import World

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

STEPS: Final = 900
WARM_UP: Final = 300
EVERY: Final = 5
ACCEPTED: Final = 0.25
"""The share of a random walk's steps to take, about the best in some ten dimensions."""
VISIT_MS: Final = 30 * MINUTE_MS
DRAWN: Final = 4000
LEAST: Final = 1e-9
MOST: Final = 0.999


class Watched:
    """What shoppers looked at and put in the cart so far: counts by shopper and item; ``stayed``: of views that stayed
    in the category of the one before, by shopper and category.
    """

    def __init__(self, world: World) -> None:
        people, goods = len(world.people), world.goods
        self.category = goods.category
        self.views, self.carts = np.zeros((people, len(goods))), np.zeros((people, len(goods)))
        self.stayed = np.zeros((people, len(goods.centres)))
        self._newest: dict[int, tuple[int, int]] = {}

    def took(self, action: Action) -> None:
        """The shopper did something."""
        if action.type == "cart":
            self.carts[action.shopper, list(action.items)] += 1
        if action.type != "view":
            return
        shopper, (item,) = action.shopper, action.items
        category = int(self.category[item])
        before, time_ms = self._newest.get(shopper, (-1, 0))
        self.views[shopper, item] += 1
        self.stayed[shopper, category] += before == category and action.time_ms - time_ms < VISIT_MS
        self._newest[shopper] = category, action.time_ms

    def of(self, shopper: int) -> tuple[Floats, Floats, Floats]:
        """Views, carts and stays of a shopper as of now."""
        return self.views[shopper].copy(), self.carts[shopper].copy(), self.stayed[shopper].copy()


class _Tastes:
    """How probable tastes and budgets are [n, factors + 1] in the light of what was seen at ``n`` moments."""

    def __init__(self, world: World, seen: list[tuple[Floats, Floats, Floats]], rng: np.random.Generator) -> None:
        self._shop, self._goods = world.shop, world.goods
        self._views, self._carts, self._stayed = (np.array(each) for each in zip(*seen, strict=True))
        self._left = np.maximum(self._views - self._carts, 0.0)
        self._popular = np.log(world.goods.popularity)
        self._in = np.eye(len(world.goods.centres))[world.goods.category]
        drawn = tastes(world.shop, world.goods, DRAWN, rng)
        self.mean = np.append(drawn.mean(axis=0), 0.0)
        # The mixture is taken for a normal distribution of the same mean and covariance.
        self._certain = np.linalg.inv(np.cov(drawn.T))

    def told(self, at: Floats) -> tuple[Floats, Floats]:
        """Logarithms of how probable [n], up to a constant; and the relevance of each item then [n, items]."""
        rhythm, push = self._shop.rhythm, self._shop.push
        liking = likings(self._shop, self._goods, at[:, :-1], at[:, -1])
        pull = self._popular + rhythm.narrow * liking
        pull -= pull.max(axis=1, keepdims=True)
        share = np.exp(pull)
        total = share.sum(axis=1, keepdims=True)
        in_category = np.maximum(share @ self._in / total, LEAST)
        told = ((pull - np.log(total)) * self._views).sum(axis=1)
        # A view stays in the category with a chance of its own, and comes there by itself with the rest.
        told += (np.log(1.0 - SAME_CATEGORY + SAME_CATEGORY / in_category) * self._stayed).sum(axis=1)
        suits = relevance(liking, push.steepness, push.middle)
        told += (np.log(suits + LEAST) * self._carts).sum(axis=1)
        told += (np.log1p(-np.minimum(MOST, rhythm.cart * suits)) * self._left).sum(axis=1)
        off = at[:, :-1] - self.mean[:-1]
        told -= 0.5 * ((off @ self._certain) * off).sum(axis=1) + 0.5 * at[:, -1] ** 2
        return told, suits


def relevances(world: World, seen: list[tuple[Floats, Floats, Floats]], items: Ints, seed: int) -> Floats:
    """Relevance, as far as what was ``seen`` by each of ``n`` moments tells: drawn [draws, n, k] for ``items`` [n, k].

    What was bought and lasts, or is not to be had, is no matter of taste, and not in it.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    shop = _Tastes(world, seen, rng)
    at = np.tile(shop.mean, (len(seen), 1))
    told, suits = shop.told(at)
    current = np.take_along_axis(suits, items, axis=1)
    step = np.full(len(seen), 0.3)
    found = []
    for n in range(STEPS):
        other = at + step[:, None] * rng.normal(size=at.shape)
        then, suits = shop.told(other)
        taken = np.log(rng.random(len(seen))) < then - told
        at[taken], told[taken] = other[taken], then[taken]
        current[taken] = np.take_along_axis(suits, items, axis=1)[taken]
        if n < WARM_UP:
            step *= np.exp(0.05 * (taken - ACCEPTED))
        elif n % EVERY == 0:
            found.append(current.copy())
    return np.array(found)
