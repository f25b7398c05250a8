"""What a push is worth, in money: what it is expected to bring, less what it is expected to cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.core.uplift.model import Forecast
    from streamer.core.uplift_settings import UpliftSettings


def worth(
    expected: Forecast,
    cents: int,
    settings: UpliftSettings,
    fatigue: float = 0.0,
    coupon_cents: int = 0,
    *,
    besides: float = 1.0,
) -> float:
    """The expected gain of a push, in the currency of the prices; below 0 for one that had better not be sent.

    ``cents``: the price of its first item, 0 if unknown. ``fatigue``: what this shopper's attention costs just now,
    beyond ``push_cost``. A purchase that would be made anyway adds nothing, and one that the push prevents is a loss.
    ``coupon_cents``: what a coupon costs, redeemed with the purchase, also by those who would have bought anyway.
    ``besides``: the share of what it sells that is not merely bought earlier (``forward.py``).
    """
    value = settings.conversion_value + settings.margin * cents / 100
    difference = expected.pushed - expected.anyway
    # What a push puts off may never be bought: that is not made less of.
    gained = difference * (besides if difference > 0 else 1.0) * value
    given = expected.pushed * coupon_cents / 100
    return gained - given - expected.opt_out * settings.opt_out_cost - settings.push_cost - fatigue
