"""A run in which everything is done right, for a violation to be planted in."""

from __future__ import annotations

from typing import Final

from tests.governance.made import BLUE, Made
from tests.governance.run import DAY_MS, HOUR_MS

LATER_MS: Final = 28 * DAY_MS


def clean() -> Made:
    """Another shopper, whom everything is done right by, up to the edge of each rule."""
    run, user = Made(), BLUE
    run.item("x", stock=2, category="hats")
    run.item("y", category="hats")
    run.item("z", stock=0, category="hats")
    # Quiet until 00:40 in Berlin, which is when the run begins.
    run.prefers(
        -3 * DAY_MS, user, consent=True, channels=["Push"], quiet_hours=["22:00", "00:40"], time_zone="Europe/Berlin"
    )
    run.event(-2 * DAY_MS, "push_unsubscribed", user, "feedback", candidate_id="c-none")
    run.prefers(-1 * DAY_MS, user, consent=True)
    run.event(-1 * HOUR_MS, "purchase", user, "purchase", item="w")
    run.push(0, ["x"], user)
    run.decide(run.event(1, "view", user), "min_gap", user)
    run.push(HOUR_MS, ["y", "v"], user)
    run.item("z", stock=1, category="hats")
    origin = run.event(HOUR_MS + 1, "cart", user, "purchase", item="q")
    run.tick(DAY_MS)
    run.decide(origin, "sent", user, "again", t=run.start_ms + DAY_MS - 5, d="c-timer")
    run.candidate("c-timer", user, "again", ["w"])
    run.push(2 * DAY_MS + HOUR_MS, ["z"], user)
    run.push(7 * DAY_MS + 2 * HOUR_MS, ["x"], user)
    run.item("n", price=10.0, stock=0)
    run.event(12 * DAY_MS, "view", user, item="n")
    run.item("n", price=9.0, stock=1)
    back, drop = ({"type": kind, "topic": "catalog", "offset": 0} for kind in ("back_in_stock", "price_drop"))
    run.push(12 * DAY_MS + HOUR_MS, ["n"], user, trigger=back)
    told = {"vars": {"price_was": "10.00", "price": "9.00"}}
    run.push(20 * DAY_MS + HOUR_MS, ["n"], user, trigger=drop, template=told)
    # Stream time does not go back: what is planted comes weeks later.
    run.start_ms += LATER_MS
    return run
