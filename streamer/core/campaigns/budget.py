"""What a campaign's coupons may cost, and have cost.

A coupon counts with all that it may cost, at the moment it is sent, whether it is redeemed or not: so what is spent is
known at once, follows from what was decided alone, and never comes to more than the budget.

The tasks of a topic know nothing of each other and need not: each has its own part of the budget, to the cent, and what
it spent of it in its own row. One whose shoppers are worth more coupons than its part borrows from none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from streamer.core.settings import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.core.campaigns.campaign import Campaign, Coupon

Cents = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Spent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Cents of a campaign in one task: ``day_cents`` on ``day`` (days since 1970, UTC), ``cents`` in all."""

    day: Cents = 0
    day_cents: Cents = 0
    cents: Cents = 0


NOTHING: Final = Spent()


def part(cents: int, partition: int, partitions: int) -> int:
    """A task's part of an amount. Those of all tasks add up to it: the first have the cents that do not divide."""
    return cents // partitions + (partition < cents % partitions)


def left(spent: Spent, coupon: Coupon, now_ms: int, *, partition: int, partitions: int) -> int:
    """What a task may still spend at a stream time: of the day's part and of the whole one, the less."""
    rest = []
    if coupon.day_cents:
        today = spent.day_cents if spent.day == now_ms // DAY_MS else 0
        rest.append(part(coupon.day_cents, partition, partitions) - today)
    if coupon.budget_cents:
        rest.append(part(coupon.budget_cents, partition, partitions) - spent.cents)
    return max(min(rest), 0)


def spend(spent: Spent, cents: int, now_ms: int) -> Spent:
    """With one coupon more. Stream time does not go back, so a new day has nothing of an older one."""
    day = now_ms // DAY_MS
    return Spent(day, cents + (spent.day_cents if spent.day == day else 0), spent.cents + cents)


class Budgets:
    """What a task spent, as decisions are taken. ``changed``: by campaign, those to be written."""

    def __init__(self, spent: Mapping[str, Spent], partition: int, partitions: int) -> None:
        self._spent, self._partition, self._partitions = spent, partition, partitions
        self.changed: dict[str, Spent] = {}

    def left(self, campaign: Campaign, now_ms: int) -> int:
        """Cents that a campaign may still spend; 0 without coupons."""
        if campaign.coupon is None:
            return 0
        spent = self._of(campaign.name)
        return left(spent, campaign.coupon, now_ms, partition=self._partition, partitions=self._partitions)

    def spend(self, campaign: str, cents: int, now_ms: int) -> None:
        """A coupon was sent."""
        self.changed[campaign] = spend(self._of(campaign), cents, now_ms)

    def _of(self, campaign: str) -> Spent:
        return self.changed.get(campaign) or self._spent.get(campaign, NOTHING)
