"""Pushes that come too often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.governance.made import MINUTE_MS
from tests.governance.run import DAY_MS, HOUR_MS, WEEK_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _hour_cap(run: Made) -> None:
    run.push(0)
    run.push(HOUR_MS - 1, ["b"])


def _campaign_cap(run: Made) -> None:
    for n in range(3):
        run.push(n * 8 * HOUR_MS - n, [f"i{n}"])


def _category_cap(run: Made) -> None:
    for n in range(3):
        run.item(f"i{n}", category="shoes")
        run.push(n * 8 * HOUR_MS - n, [f"i{n}"], campaign=f"c{n}")


def _gap(run: Made) -> None:
    first = run.push(0)
    run.event(1, "push_dismissed", topic="feedback", candidate_id=first)
    run.event(2, "push_dismissed", topic="feedback", candidate_id="of somebody else")
    run.push(2 * HOUR_MS - 1, ["b"])


def _day_cap(run: Made) -> None:
    for n in range(4):
        run.push(n * 8 * HOUR_MS - n, [f"i{n}"], campaign=f"c{n}")


def _week_cap(run: Made) -> None:
    run.red_rules(caps=((2, WEEK_MS),))
    for n in range(3):
        run.push(n * 3 * DAY_MS, [f"i{n}"], campaign=f"c{n}")


def _none_a_day(run: Made) -> None:
    """A cap of none is one."""
    run.red_rules(caps=((1, HOUR_MS), (0, DAY_MS)))
    run.push(0)


def _hour_with_what_is_held_back(run: Made) -> None:
    run.decide(run.event(0, "view"), "control", campaign="another")
    run.push(HOUR_MS - 1)


def _hour_of_what_is_held_back(run: Made) -> None:
    run.push(0)
    run.decide(run.event(HOUR_MS - 1, "view"), "control", campaign="another")


def _day_of_a_holdout(run: Made) -> None:
    for n in range(4):
        run.decide(run.event(n * 8 * HOUR_MS - n, "view"), "holdout", campaign=f"c{n}", i=[f"i{n}"])


def _campaign_of_a_control(run: Made) -> None:
    for n in range(3):
        run.decide(run.event(n * 8 * HOUR_MS - n, "view"), "control", i=[f"i{n}"])


def _gap_after_what_is_held_back(run: Made) -> None:
    run.red_rules(caps=())
    run.decide(run.event(0, "view"), "control", campaign="another")
    run.push(30 * MINUTE_MS - 1)


def _gap_between_two_held_back(run: Made) -> None:
    run.red_rules(caps=())
    for n in range(2):
        run.decide(run.event(n * (30 * MINUTE_MS - 1), "view"), "holdout", campaign=f"c{n}")


def _gap_at_a_tick(run: Made) -> None:
    """At the one tick, and at no other, as the next record has a decision, too."""
    run.red_rules(caps=())
    run.push(0)
    origin = run.event(1, "cart", topic="purchase", item="b")
    run.tick(29 * MINUTE_MS)
    run.decide(origin, "control", campaign="another", t=run.start_ms + 28 * MINUTE_MS)
    run.decide(run.event(29 * MINUTE_MS + 1, "view"), "min_gap")
    run.tick(2 * HOUR_MS)


def _category_told_by_events(run: Made) -> None:
    for n in range(3):
        run.event(n, "view", item=f"i{n}", category="shoes")
    for n in range(3):
        run.push(2 * DAY_MS + n * 8 * HOUR_MS - n, [f"i{n}"], campaign=f"c{n}")


PLANTED: Final[Plants] = {
    "hour": ("cap", _hour_cap),
    "day": ("cap", _day_cap),
    "campaign": ("campaign_cap", _campaign_cap),
    "category": ("category_cap", _category_cap),
    "gap": ("min_gap", _gap),
    "week": ("cap", _week_cap),
    "none a day": ("cap", _none_a_day),
    "hour with what is held back": ("cap", _hour_with_what_is_held_back),
    "hour of what is held back": ("cap", _hour_of_what_is_held_back),
    "day of a holdout": ("cap", _day_of_a_holdout),
    "campaign of a control": ("campaign_cap", _campaign_of_a_control),
    "gap after what is held back": ("min_gap", _gap_after_what_is_held_back),
    "gap between two held back": ("min_gap", _gap_between_two_held_back),
    "gap at a tick": ("min_gap", _gap_at_a_tick),
    "category told by events": ("category_cap", _category_told_by_events),
}
