"""The campaigns of a round: ``next``, and those that the harness declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.faults import coupons, news, timed
from tests.faults.plain import TRIGGERS

if TYPE_CHECKING:
    from pathlib import Path

DECLARED: Final = {
    timed.BASKET: timed.DECLARED,
    **{name: coupon.declared(name) for name, coupon in coupons.COUPONS.items()},
    **{name: waiting.declared(name) for name, waiting in news.WAITING.items()},
}
ON: Final = ("next", *DECLARED)


def declare(folder: Path) -> Path:
    """The folder of campaigns with these in it."""
    campaigns = folder / "campaigns"
    campaigns.mkdir()
    for name, text in DECLARED.items():
        (campaigns / f"{name}.toml").write_text(text)
    return campaigns


def asking(event_type: str) -> list[str]:
    """Those that ask at once, with an event of this type."""
    at_once = ["next"] if event_type in TRIGGERS else []
    return at_once + [name for name, coupon in coupons.COUPONS.items() if event_type in coupon.on]
