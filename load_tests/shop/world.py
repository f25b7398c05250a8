"""The simulated shop as one object: it is told until when to go on, and what was pushed; it says what happened.

Time goes in steps. A push decided in a step is answered from the next one on, so that the order in which things happen
is the same whatever runs the engine. Nothing is drawn but by name (``draws.py``): two runs in which the same is pushed
are the same, and what is not pushed to is as it would have been.
"""

from __future__ import annotations

import heapq
import json
from bisect import bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from load_tests.shop.action import Action, Row, record
from load_tests.shop.draws import draws
from load_tests.shop.file import DAY_MS, MINUTE_MS
from load_tests.shop.goods import catalog_rows, item_id, stock_up
from load_tests.shop.minds import OPENED, SHOWN, Minds
from load_tests.shop.organic import organic
from load_tests.shop.people import kind_of, populate
from load_tests.shop.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from load_tests.shop.file import Shop

SECOND_MS = 1000
SAYS_NO_TOO = 0.3
"""Of those who opt out, so many also withdraw their consent in the preferences."""


class Push(NamedTuple):
    """A push that reaches a shopper: the candidate's id, items by number, and when it was decided."""

    id: str
    shopper: int
    items: tuple[int, ...]
    decided_ms: int
    campaign: str = ""


class World:
    """Shop, shoppers, and all that happens between them.

    ``now_ms``: what was before has been told. ``latest``: what was done in the last step.
    """

    def __init__(self, shop: Shop, seed: int, arm: str = "") -> None:
        self.shop, self.seed = shop, seed
        self.goods = stock_up(shop)
        self.people = populate(shop, self.goods, seed)
        self.now_ms = shop.start_ms
        self.truth = Truth(shop.name, seed, arm, shop.days, self.people.kinds)
        self._organic = organic(shop, self.goods, self.people, seed)
        self._orders: dict[int, list[Action]] = defaultdict(list)
        for action in self._organic:
            if action.type == "purchase":
                self._orders[action.shopper].append(action)
        margins = [self._margin(action) for action in self._organic if action.type == "purchase"]
        self.minds = Minds(shop, self.goods, self.people, sum(margins) / max(1, len(margins)))
        self._catalog = list(catalog_rows(self.goods, shop.seed))
        self._next_organic = self._next_catalog = 0
        self._pending: list[Action] = [*self._said_at_first(), *self._minds_changed()]
        heapq.heapify(self._pending)
        self._dropped: dict[str, set[int]] = defaultdict(set)  # lines of orders that were bought before, by order
        self._lost: set[str] = set()
        self.consent = list(self.people.consent)
        self.opted_out = [False] * len(self.people)
        self.latest: list[Action] = []

    @property
    def over(self) -> bool:
        """Whether the run has come to its end."""
        return self.now_ms >= self.shop.end_ms

    def reachable(self, shopper: int) -> bool:
        """Whether the shopper, as far as they have said, may be pushed to."""
        return self.consent[shopper] is not False and not self.opted_out[shopper]

    def step(self) -> list[Row]:
        """Go on by one step: the records of what happens in it, in the order of their times."""
        until_ms = min(self.now_ms + self.shop.step_ms, self.shop.end_ms)
        if (self.now_ms - self.shop.start_ms) % DAY_MS == 0:
            self._begin_day()
        rows: list[tuple[int, int, Row]] = []
        while self._next_catalog < len(self._catalog) and self._catalog[self._next_catalog][0] < until_ms:
            time_ms, item, entry = self._catalog[self._next_catalog]
            self._next_catalog += 1
            row = Row("catalog", item_id(item).encode(), json.dumps(entry).encode(), time_ms)
            rows.append((time_ms, len(rows), row))
        self.latest = self._actions(until_ms)
        for action in self.latest:
            rows.append((action.time_ms, len(rows), record(action, self.goods)))
        self.now_ms = until_ms
        return [row for _, _, row in sorted(rows, key=lambda entry: entry[:2])]

    def react(self, push: Push) -> None:
        """The push arrives: plan what the shopper makes of it, from now on."""
        said, kind = self.shop.push, kind_of(self.shop, self.people, push.shopper)
        rng = draws(self.shop.seed, self.seed, "push", push.id)
        lots = [rng.random() for _ in range(8)]
        chances = self.minds.chances(push.shopper, push.decided_ms)
        click, item = max((shown * float(chances.click[i]), i) for shown, i in zip(SHOWN, push.items, strict=False))
        margin = self.shop.money.margin * self.goods.price_of(item, push.decided_ms)
        expected = float(chances.worth[item]) - (float(chances.click[item]) - click) * chances.buy * margin
        at_stake = self._at_stake(push)
        self._count(push.shopper, push.decided_ms, pushes=1, expected=expected, regret=-expected)
        self.minds.pushed(push.shopper, push.decided_ms)
        arrives = max(push.decided_ms + SECOND_MS, self.now_ms)
        looks = max(arrives + SECOND_MS, push.decided_ms + int(rng.expovariate(1 / (said.reply_minutes * MINUTE_MS))))
        self._answer(push, "delivered", arrives)
        outcome = "ignored"
        if lots[0] < click:
            outcome = "clicked"
            self._answer(push, "opened", looks)
            self._answer(push, "clicked", looks + SECOND_MS)
            self._do(push, "view", looks + 2 * SECOND_MS, (item,))
            buys = lots[1] < kind.buy or (lots[2] < kind.forward and self._bring_forward(push.shopper, item, looks))
            if buys:
                self._do(push, "cart", looks + MINUTE_MS, (item,))
                self._do(push, "purchase", looks + 3 * MINUTE_MS, (item,))
                self._answer(push, "converted", looks + 3 * MINUTE_MS + SECOND_MS)
        elif lots[0] < click + float(chances.dismiss[item]):
            outcome = "dismissed"
            self._answer(push, "dismissed", looks)
        elif lots[3] < OPENED:
            outcome = "opened"
            self._answer(push, "opened", looks)
        if lots[4] < float(chances.leave[item]):
            self._answer(push, "unsubscribed", looks + 5 * SECOND_MS)
            if lots[5] < SAYS_NO_TOO:
                self._say(push.shopper, looks + MINUTE_MS, f"{push.id}-no", consent=False)
        if lots[6] < chances.lost and at_stake is not None:
            self._lost.add(at_stake.id)
        self.truth.pushes.append(
            {
                "shopper": push.shopper,
                "time_ms": push.decided_ms,
                "campaign": push.campaign,
                "item": item,
                "click": round(click, 6),
                "expected": round(expected, 6),
                "sells": round(click * chances.buy, 6),
                "loses": round(chances.lost if at_stake is not None else 0.0, 6),
                "leave": round(float(chances.leave[item]), 6),
                "outcome": outcome,
            }
        )

    # -- what happens ---------------------------------------------------------------------------------------------

    def _actions(self, until_ms: int) -> list[Action]:
        found: list[Action] = []
        while True:
            own = self._organic[self._next_organic] if self._next_organic < len(self._organic) else None
            planned = self._pending[0] if self._pending else None
            first = min((a for a in (own, planned) if a is not None), key=lambda a: (a.time_ms, a.id), default=None)
            if first is None or first.time_ms >= until_ms:
                return found
            if first is own:
                self._next_organic += 1
                first = self._as_it_comes(first)
            else:
                heapq.heappop(self._pending)
                first = self._as_planned(first)
            if first is not None:
                self.minds.took(first)
                found.append(first)

    def _as_it_comes(self, action: Action) -> Action | None:
        """What is left of something that shoppers do of their own accord, after what pushes did."""
        if action.type != "purchase":
            return action
        self._count(action.shopper, action.time_ms, anyway=1, value_anyway=self._margin(action))
        if action.id in self._lost:
            return None
        need = self.minds.wanted(action.shopper, action.time_ms)
        gone = self._dropped[action.id]
        items = tuple(item for item in action.items if item not in gone and need[item] > 0)
        if not items:
            return None
        action = action._replace(items=items)
        self._count(action.shopper, action.time_ms, conversions=1, value=self._margin(action))
        return action

    def _as_planned(self, action: Action) -> Action | None:
        shopper, time_ms = action.shopper, action.time_ms
        if action.type == "purchase":
            self._count(shopper, time_ms, conversions=1, attributed=1, value=self._margin(action))
        elif action.type == "push_clicked":
            self._count(shopper, time_ms, clicks=1)
        elif action.type == "push_dismissed":
            self._count(shopper, time_ms, dismissals=1)
        elif action.type == "push_unsubscribed":
            if self.opted_out[shopper]:
                return None
            self.opted_out[shopper] = True
            self._count(shopper, time_ms, opt_outs=1)
        elif action.preferences is not None:
            consent = action.preferences.get("consent")
            if consent is not None:
                self.consent[shopper] = consent
                # A later yes takes an opt-out back.
                self.opted_out[shopper] = self.opted_out[shopper] and not consent
        return action

    def _begin_day(self) -> None:
        for shopper in range(len(self.people)):
            if self.reachable(shopper):
                self._count(shopper, self.now_ms, regret=self.minds.best(shopper, self.now_ms))

    # -- what pushes bring about ----------------------------------------------------------------------------------

    def _answer(self, push: Push, word: str, time_ms: int) -> None:
        identity = f"{push.id}-{word}"
        self._plan(Action(time_ms, identity, f"push_{word}", push.shopper, about=push.id))

    def _do(self, push: Push, kind: str, time_ms: int, items: tuple[int, ...]) -> None:
        self._plan(Action(time_ms, f"{push.id}-{kind}", kind, push.shopper, items))

    def _say(self, shopper: int, time_ms: int, identity: str, *, consent: bool | None) -> None:
        said = self.people.preferences(shopper, consent)
        self._plan(Action(time_ms, identity, "preferences", shopper, preferences=said))

    def _plan(self, action: Action) -> None:
        heapq.heappush(self._pending, action._replace(time_ms=max(action.time_ms, self.now_ms)))

    def _bring_forward(self, shopper: int, item: int, time_ms: int) -> bool:
        """Whether an order to come has a line of the item's category, which then is bought now instead."""
        found = self.ahead(shopper, item, time_ms)
        if found is not None:
            self._dropped[found[0].id].add(found[1])
        return found is not None

    def ahead(self, shopper: int, item: int, time_ms: int) -> tuple[Action, int] | None:
        """The order to come, and its line, that a click on a push of ``item`` can bring forward."""
        until_ms = time_ms + int(self.shop.push.brought_forward_days * DAY_MS)
        for order, lines in self.to_come(shopper, time_ms, until_ms):
            for line in lines:
                if self.goods.category[line] == self.goods.category[item]:
                    return order, line
        return None

    def to_come(self, shopper: int, time_ms: int, until_ms: int) -> Iterator[tuple[Action, list[int]]]:
        """The orders after ``time_ms`` and before ``until_ms`` that pushes have not lost so far, with what is left."""
        for order in self._after(shopper, time_ms):
            if order.time_ms >= until_ms:
                return
            if order.id not in self._lost:
                gone = self._dropped.get(order.id, ())
                yield order, [line for line in order.items if line not in gone]

    def _at_stake(self, push: Push) -> Action | None:
        """The order to come that a push can lose: the next one of those days."""
        until_ms = push.decided_ms + int(self.shop.push.suppress_days * DAY_MS)
        to_come = self.to_come(push.shopper, max(push.decided_ms, self.now_ms), until_ms)
        return next((order for order, _ in to_come), None)

    def _after(self, shopper: int, time_ms: int) -> list[Action]:
        orders = self._orders[shopper]
        return orders[bisect_right(orders, time_ms, key=lambda order: order.time_ms) :]

    # -- the beginning --------------------------------------------------------------------------------------------

    def _said_at_first(self) -> list[Action]:
        """Each shopper's preferences, in the first minute."""
        found = []
        for shopper, consent in enumerate(self.people.consent):
            if consent is None and self.people.quiet[shopper] is None:
                continue
            said = self.people.preferences(shopper, consent)
            time_ms = self.shop.start_ms + shopper % 60 * SECOND_MS
            found.append(Action(time_ms, f"said-{shopper}-0", "preferences", shopper, preferences=said))
        return found

    def _minds_changed(self) -> list[Action]:
        """Who says yes now who did not, and the other way."""
        found = []
        for shopper, consent in enumerate(self.people.consent):
            rng = draws(self.shop.seed, self.seed, "mind", shopper)
            if rng.random() < self.shop.preferences.changes_per_month * self.shop.days / 30:
                time_ms = self.shop.start_ms + MINUTE_MS + int(rng.random() * self.shop.days * DAY_MS)
                said = self.people.preferences(shopper, not consent)
                found.append(Action(time_ms, f"said-{shopper}-1", "preferences", shopper, preferences=said))
        return found

    def _margin(self, order: Action) -> float:
        prices = sum(self.goods.price_of(item, order.time_ms) for item in order.items)
        return self.shop.money.margin * prices

    def _count(self, shopper: int, time_ms: int, **amounts: float) -> None:
        self.truth.add(shopper, self.goods.day(time_ms), **amounts)
