"""What coupons cost: each what it should, and all of them no more than they may."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.governance.run import DAY_MS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tests.governance.push import Push
    from tests.governance.rules import Rules


def budget(push: Push, rules: Rules, spent: Counter[tuple[str, int | None]]) -> Iterator[str]:
    """``spent``: until now, to which the push's coupon is added. What is held back costs nothing."""
    cents, campaign = push.decision.get("k", 0), push.campaign
    if push.held_back or campaign not in rules.coupons:
        if cents:
            yield f"gives a coupon of {cents} cents, {campaign} has none to give"
        return
    price, of_day, in_all = rules.coupons[campaign]
    if cents <= 0 or (price is not None and cents != price):
        yield f"gives a coupon of {cents} cents, which costs {price}"
    for day, most in ((push.at_ms // DAY_MS, of_day), (None, in_all)):
        spent[campaign, day] += cents
        if most and spent[campaign, day] > most:
            when = "in all" if day is None else f"on day {day}"
            yield f"{campaign} gives {spent[campaign, day]} cents {when}, of {most}"
