"""Decisions that are too many, or too few, or do not fit together."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from tests.governance.run import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _two_pushes(run: Made) -> None:
    run.run.rules = dataclasses.replace(run.run.rules, caps=(), gap_ms=0)
    origin = run.event(0, "view")
    for n in range(2):
        run.decide(origin, "sent", campaign=f"c{n}", d=f"both-{n}")
        run.candidate(f"both-{n}", campaign=f"c{n}", items=[f"i{n}"])


def _two_pushes_of_a_tick(run: Made) -> None:
    run.run.rules = dataclasses.replace(run.run.rules, caps=(), gap_ms=0)
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(2 * HOUR_MS)
    for n in range(2):
        run.decide(origin, "sent", campaign=f"c{n}", d=f"both-{n}", t=run.start_ms + (n + 1) * HOUR_MS)
        run.candidate(f"both-{n}", campaign=f"c{n}", items=[f"i{n}"])


def _push_beside_what_was_held_back(run: Made) -> None:
    run.red_rules(caps=(), gap_ms=0)
    origin = run.event(0, "view")
    run.decide(origin, "control", campaign="another", e="e-1", s=0.9)
    run.decide(origin, "sent", d="beside", s=0.8)
    run.candidate("beside")


def _outbid_by_nothing(run: Made) -> None:
    origin = run.event(0, "view")
    run.decide(origin, "outbid", e="e-1", s=0.9)
    run.decide(origin, "not_worth_it", campaign="another", e="e-1", s=1.0)


def _outbid_by_another_shoppers(run: Made) -> None:
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "outbid", e="e-1", t=run.start_ms + HOUR_MS, s=0.2)
    run.decide(origin, "holdout", "other", "another", e="e-1", t=run.start_ms + HOUR_MS, s=0.9)


def _outbid(run: Made, winner: str, of: dict[str, Any], by: dict[str, Any], loser: str = "next") -> None:
    origin = run.event(0, "view")
    run.decide(origin, "outbid", campaign=loser, e="e-1", **of)
    run.decide(origin, "sent", campaign=winner, d="best", **by)
    run.candidate("best", campaign=winner)


def _outbid_by_less(run: Made) -> None:
    _outbid(run, "another", {"s": 0.1, "w": 2.5}, {"s": 0.9, "w": 2.4})


def _outbid_by_a_score_that_is_less(run: Made) -> None:
    _outbid(run, "another", {"s": 0.5}, {})


def _outbid_by_what_goes_after(run: Made) -> None:
    _outbid(run, "another", {"s": 0.5}, {"s": 0.9, "w": 0.5}, "reminder")


def _outbid_by_a_later_name(run: Made) -> None:
    _outbid(run, "other", {"s": 0.5}, {"s": 0.5})


def _outbid_by_less_that_was_held_back(run: Made) -> None:
    origin = run.event(0, "view")
    run.decide(origin, "holdout", campaign="another", e="e-1", s=0.4)
    run.decide(origin, "outbid", e="e-1", s=0.5)


def _outbid_by_less_at_a_tick(run: Made) -> None:
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(2 * HOUR_MS)
    run.decide(origin, "outbid", e="e-1", t=run.start_ms + HOUR_MS, s=0.5)
    run.decide(origin, "control", campaign="another", e="e-1", t=run.start_ms + 2 * HOUR_MS, s=0.4)


def _duplicate(run: Made) -> None:
    run.candidate(run.push(0))


def _same_dedupe_key(run: Made) -> None:
    run.push(0)
    run.push(2 * HOUR_MS, ["b"], dedupe_key=f"c-{len(run.run.records['push-candidates', 0]) - 1}")


def _propensity(run: Made) -> None:
    run.push(0, propensity=0.0)


def _decision_of_propensity(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", p=1.5)


def _no_reason(run: Made) -> None:
    run.decide(run.event(0, "view"), "")


def _no_candidate(run: Made) -> None:
    run.decide(run.event(0, "view"), "sent", d="c-9")


def _no_decision(run: Made) -> None:
    run.event(0, "view")
    run.candidate("c-9")


def _not_folded(run: Made) -> None:
    run.event(0, "view")
    run.decide("browse:17", "min_gap")


def _too_soon(run: Made) -> None:
    """A timer that went off before it was due."""
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "low_score", t=run.start_ms + 2 * HOUR_MS)


def _a_loser_without_a_row(run: Made) -> None:
    run.decide(run.event(0, "wishlist"), "sent", d="alone")
    run.candidate("alone")


def _an_event_on_which_nobody_decided(run: Made) -> None:
    run.red_rules()
    run.rules(at_once={"wishlist": frozenset({"next"})})
    run.event(0, "wishlist")


def _decided_twice(run: Made) -> None:
    origin = run.event(0, "view")
    for _ in range(2):
        run.decide(origin, "min_gap")


def _decided_by_one_that_does_not_react(run: Made) -> None:
    origin = run.event(0, "wishlist")
    for campaign in ("next", "reminder", "again"):
        run.decide(origin, "min_gap", campaign=campaign)


def _decided_on_what_came_too_late(run: Made) -> None:
    run.event(0, "view")
    run.decide(run.event(1, "wishlist", fast_ms=-8 * DAY_MS), "expired")


def _decided_on_what_came_before(run: Made) -> None:
    for origin in (run.event(0, "wishlist", id="same"), run.event(1, "wishlist", id="same")):
        run.decide(origin, "min_gap")
    run.rules(at_once={"wishlist": frozenset({"next"})})


def _decided_on_what_is_forgotten(run: Made) -> None:
    run.prefers(HOUR_MS, erase=True)
    run.decide(run.event(0, "wishlist"), "min_gap")


def _another_propensity(run: Made) -> None:
    run.push(0, propensity=0.5)


PLANTED: Final[Plants] = {
    "two pushes": ("two_pushes", _two_pushes),
    "two pushes of a tick": ("two_pushes", _two_pushes_of_a_tick),
    "a push beside one held back": ("two_pushes", _push_beside_what_was_held_back),
    "outbid by nothing": ("outbid", _outbid_by_nothing),
    "outbid by another shopper's": ("outbid", _outbid_by_another_shoppers),
    "outbid by less": ("outbid", _outbid_by_less),
    "outbid by a score that is less": ("outbid", _outbid_by_a_score_that_is_less),
    "outbid by what goes after": ("outbid", _outbid_by_what_goes_after),
    "outbid by a later name": ("outbid", _outbid_by_a_later_name),
    "outbid by less that was held back": ("outbid", _outbid_by_less_that_was_held_back),
    "outbid by less at a tick": ("outbid", _outbid_by_less_at_a_tick),
    "duplicate id": ("duplicate", _duplicate),
    "duplicate key": ("duplicate", _same_dedupe_key),
    "propensity of a candidate": ("propensity", _propensity),
    "propensity of a decision": ("propensity", _decision_of_propensity),
    "reason": ("reason", _no_reason),
    "no candidate": ("unmatched", _no_candidate),
    "no decision": ("unmatched", _no_decision),
    "not folded": ("out_of_place", _not_folded),
    "too soon": ("out_of_place", _too_soon),
    "a loser without a row": ("missing", _a_loser_without_a_row),
    "an event on which nobody decided": ("missing", _an_event_on_which_nobody_decided),
    "decided twice": ("surplus", _decided_twice),
    "decided by one that does not react": ("surplus", _decided_by_one_that_does_not_react),
    "decided on what came too late": ("surplus", _decided_on_what_came_too_late),
    "decided on what came before": ("surplus", _decided_on_what_came_before),
    "decided on what is forgotten": ("surplus", _decided_on_what_is_forgotten),
    "another propensity": ("propensity", _another_propensity),
}
