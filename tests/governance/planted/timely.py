"""Pushes that come at another time than theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.governance import made
from tests.governance.made import MINUTE_MS
from tests.governance.run import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _expired(run: Made) -> None:
    run.push(0, expires_at=made.rfc3339(run.start_ms))


def _no_collapse_key(run: Made) -> None:
    run.push(0, collapse_key="")


def _another_collapse_key(run: Made) -> None:
    run.push(0, collapse_key="again")


def _another_time(run: Made) -> None:
    run.push(0, decided_at=made.rfc3339(run.start_ms + 1))


def _later_by_a_fast_clock(run: Made) -> None:
    """Stream time is not that of the one device whose clock is fast."""
    run.event(0, "view", "other", fast_ms=4 * MINUTE_MS)
    run.push(MINUTE_MS, decided_at=made.rfc3339(run.start_ms + 4 * MINUTE_MS))


def _out_of_date_and_held_back(run: Made) -> None:
    run.event(0, "view", "other")
    run.decide(run.event(1, "view", fast_ms=-2 * DAY_MS), "control")


def _for_years(run: Made) -> None:
    run.push(0, expires_at=made.rfc3339(run.start_ms + 3650 * DAY_MS))


def _longer_than_the_campaign_says(run: Made) -> None:
    run.red_rules(expiries={"next": 12 * HOUR_MS})
    run.push(0)


def _longer_than_from_when_it_was_due(run: Made) -> None:
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "sent", d="late", t=run.start_ms + HOUR_MS - 1)
    run.candidate("late", expires_at=made.rfc3339(run.start_ms + HOUR_MS + DAY_MS))


def _overtaken(run: Made) -> None:
    run.event(0, "view")
    run.push(1, fast_ms=-HOUR_MS)


def _overtaken_and_held_back(run: Made) -> None:
    run.event(0, "view")
    run.decide(run.event(1, "view", fast_ms=-1_000), "control")


PLANTED: Final[Plants] = {
    "expired": ("expired", _expired),
    "no collapse key": ("collapse_key", _no_collapse_key),
    "another collapse key": ("collapse_key", _another_collapse_key),
    "another time": ("clock", _another_time),
    "a fast clock's time": ("clock", _later_by_a_fast_clock),
    "out of date and held back": ("expired", _out_of_date_and_held_back),
    "for years": ("expiry", _for_years),
    "longer than the campaign says": ("expiry", _longer_than_the_campaign_says),
    "longer than from when it was due": ("expiry", _longer_than_from_when_it_was_due),
    "overtaken": ("out_of_order", _overtaken),
    "overtaken and held back": ("out_of_order", _overtaken_and_held_back),
}
