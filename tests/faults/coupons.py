"""Coupons in the plainest way: what those that were sent may cost, and what a task has left of its part of a budget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.faults.load import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Coupon:
    """What a campaign gives after events ``on``: ``cents``, or ``percent`` of what is bought, ``most`` cents at most.

    ``budget`` and ``per_day`` are cents of all tasks together, 0 without such a bound.
    """

    on: tuple[str, ...]
    cents: int = 0
    percent: int = 0
    most: int = 0
    budget: int = 0
    per_day: int = 0

    def declared(self, name: str) -> str:
        """Its campaign's file."""
        worth = (
            f"cost = {_money(self.cents)}" if self.cents else f"percent = {self.percent}\nat_most = {_money(self.most)}"
        )
        budgets = [f"budget = {_money(self.budget)}"] if self.budget else []
        budgets += [f"budget_per_day = {_money(self.per_day)}"] if self.per_day else []
        return "\n".join((
            "[triggers]",
            f"on = {list(self.on)}",
            "[coupon]",
            f'id = "{name}-1"',
            worth,
            *budgets,
            "anyway_at_most = 1.0",
            "[message]",
            f'template = "{name}.v1"',
            'channels = ["push", "in-app", "email", "sms"]',
        ))  # fmt: skip


#: Small budgets, so that they run out in a round. Three of the first fit a task's part to the cent, or to one cent less
#: than there is, as 2403 cannot be divided by four.
COUPONS: Final = {
    "thanks": Coupon(("purchase", "checkout", "list_view"), cents=200, budget=2403),
    "look-again": Coupon(
        ("list_view", "rating", "remove_from_cart", "cart"), percent=10, most=300, budget=6001, per_day=2002
    ),
}
#: Why a campaign with coupons alone may refuse.
REASONS: Final = {"buys_anyway", "no_gain", "over_budget"}


@dataclass(slots=True)
class Spent:
    """Cents of a campaign in one task: on a day (since 1970), and in all."""

    day: int = 0
    day_cents: int = 0
    cents: int = 0


@dataclass(slots=True)
class Account:
    """What a task's coupons have cost, in the order in which they were decided."""

    partition: int
    partitions: int
    spent: dict[str, Spent] = field(default_factory=dict)

    @property
    def row(self) -> dict[str, list[int]]:
        """As the task's own row has it."""
        return {name: [each.day, each.day_cents, each.cents] for name, each in sorted(self.spent.items())}

    def left(self, campaign: str, now_ms: int) -> int:
        """Cents of the task's part: of the day's or of all, the less."""
        coupon, spent = COUPONS[campaign], self.spent.get(campaign, Spent())
        today = spent.day_cents if spent.day == now_ms // DAY_MS else 0
        rests = [self._part(coupon.budget) - spent.cents] if coupon.budget else []
        rests += [self._part(coupon.per_day) - today] if coupon.per_day else []
        return min(rests)

    def judge(
        self, campaign: str, decision: dict[str, Any], candidate: dict[str, Any] | None, now_ms: int
    ) -> Iterator[str]:
        """What is wrong with a decision as to coupons; one that is sent is booked."""
        reason, cents, coupon = decision.get("r", ""), decision.get("k", 0), COUPONS.get(campaign)
        if coupon is None:
            if cents or reason in REASONS:
                yield f"{reason} with a coupon of {cents} cents for {campaign}, which gives none"
            return
        left = self.left(campaign, now_ms)
        if reason != "sent":
            if cents:
                yield f"{reason}, yet with a coupon of {cents} cents"
            if reason == "over_budget" and (coupon.cents or coupon.most) <= left:
                yield f"over_budget, but {left} cents are left for a coupon of {coupon.cents or coupon.most}"
            return
        told = candidate["template"]["vars"] if candidate is not None else {}
        due = coupon.cents or coupon.most
        if cents != due:
            yield f"a coupon of {cents} cents, which would be {due}"
        if told.get("coupon") != f"{campaign}-1":
            yield f"sends coupon {told.get('coupon')!r} of {campaign}"
        if cents > left:
            yield f"a coupon of {cents} cents, of {left} that are left of the budget"
        self._spend(campaign, cents, now_ms)

    def _spend(self, campaign: str, cents: int, now_ms: int) -> None:
        spent, day = self.spent.setdefault(campaign, Spent()), now_ms // DAY_MS
        if day != spent.day:
            spent.day, spent.day_cents = day, 0
        spent.day_cents += cents
        spent.cents += cents

    def _part(self, cents: int) -> int:
        return cents // self.partitions + (self.partition < cents % self.partitions)


def in_cents(money: str) -> int:
    """Of an amount such as ``12.30``; 0 of nothing."""
    return int(money.replace(".", "") or 0)


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"
