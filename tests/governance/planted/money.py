"""Coupons that cost too much."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.governance.run import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _day_of_coupons(run: Made) -> None:
    # From midnight on, so that the three are of one day.
    for n in range(3):
        run.push(n * 5 * HOUR_MS + 2 * HOUR_MS, [f"i{n}"], f"u{n}", "five", 500)


def _all_coupons(run: Made) -> None:
    for n in range(4):
        run.push(n * DAY_MS + 2 * HOUR_MS, [f"i{n}"], f"u{n}", "five", 500)


def _shares(run: Made) -> None:
    run.push(2 * HOUR_MS, ["a"], "u1", "share", 300)
    run.push(3 * HOUR_MS, ["b"], "u2", "share", 501)


def _another_price(run: Made) -> None:
    run.push(0, campaign="five", cents=499)


def _untold_price(run: Made) -> None:
    run.push(0, campaign="share")


def _coupon_of_none(run: Made) -> None:
    run.push(0, cents=500)


PLANTED: Final[Plants] = {
    "coupons of a day": ("budget", _day_of_coupons),
    "all coupons": ("budget", _all_coupons),
    "shares of the price": ("budget", _shares),
    "another price": ("budget", _another_price),
    "no price": ("budget", _untold_price),
    "a coupon of none": ("budget", _coupon_of_none),
}
