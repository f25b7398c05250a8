"""What did not compete is not held to have, and what did may be decided in every way that the rules leave."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import pytest

from tests.governance import made
from tests.governance.checker import check
from tests.governance.made import Made
from tests.governance.run import HOUR_MS

OFTEN: Final = dataclasses.replace(made.RULES, caps=(), gap_ms=0)


def _fired(run: Made, origin: str, campaign: str, due: int, **more: Any) -> None:
    """A push that a timer asked for."""
    identity = f"c-{len(run.run.records['push-candidates', 0])}"
    run.decide(origin, "sent", campaign=campaign, d=identity, t=run.start_ms + due, **more)
    run.candidate(identity, campaign=campaign, items=[identity])


def test_the_best_wins_and_the_others_are_outbid():
    """By worth, by priority among equals, and then by name; what a rule refused does not count."""
    run = Made()
    origin = run.event(0, "view")
    for campaign, worth in (("later", 0.5), ("reminder", 0.4), ("next", 0.5)):
        run.decide(origin, "outbid", campaign=campaign, e="e-1", s=0.9, w=worth)
    run.decide(origin, "over_budget", campaign="best", e="e-1", s=0.9, w=7.0)
    run.decide(origin, "sent", campaign="first", d="won", s=0.5)
    run.candidate("won", campaign="first")
    other = run.event(1, "view", "other")
    run.decide(other, "outbid", "other", "first", e="e-2", s=0.5)
    run.decide(other, "holdout", "other", "reminder", e="e-2", s=0.5)
    assert check(run.run).counts == {}


def test_two_events_are_two_occasions():
    """Each may lead to a push, as far as caps and gaps allow."""
    run = Made(OFTEN)
    for n in range(2):
        origin = run.event(n, "view")
        run.decide(origin, "sent", campaign=f"c{n}", d=f"c-{n}")
        run.candidate(f"c-{n}", campaign=f"c{n}", items=[f"i{n}"])
    assert check(run.run).counts == {}


def test_an_event_and_a_timer_that_it_armed_are_two_occasions():
    """They have one origin; the timer was due later."""
    run = Made(OFTEN)
    origin = run.event(0, "view")
    run.decide(origin, "sent", campaign="c0", d="now")
    run.candidate("now", campaign="c0")
    run.tick(HOUR_MS)
    _fired(run, origin, "c1", HOUR_MS)
    assert check(run.run).counts == {}


@pytest.mark.parametrize("outbid", [HOUR_MS, 2 * HOUR_MS])
@pytest.mark.parametrize("due", [HOUR_MS, 2 * HOUR_MS])
@pytest.mark.parametrize("campaign", ["c0", "c1"])
def test_timers_of_two_ticks_are_two_occasions(outbid: int, due: int, campaign: str):
    """Also if those of the second were due at the first, but armed after it."""
    run = Made(OFTEN)
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    _fired(run, origin, "c0", HOUR_MS, s=0.1)
    run.tick(2 * HOUR_MS)
    run.decide(origin, "outbid", campaign="least", e="e-1", t=run.start_ms + outbid, s=0.2)
    _fired(run, origin, campaign, due, s=0.3)
    assert check(run.run).counts == {}


def test_two_ticks_may_be_of_one_time():
    """What the first armed fires at the second, though the stream's time stood still."""
    run = Made(OFTEN)
    origin = run.event(0, "cart", topic="purchase", item="a")
    for campaign in ("c0", "c1"):
        run.tick(HOUR_MS)
        _fired(run, origin, campaign, HOUR_MS)
    assert check(run.run).counts == {}


def test_who_was_held_back_at_one_tick_may_be_pushed_at_the_next():
    """No row says at which tick what was not sent was decided."""
    run = Made(OFTEN)
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    for n in range(2):
        run.decide(origin, "control", campaign=f"held-{n}", e="e-1", t=run.start_ms + HOUR_MS)
    run.tick(2 * HOUR_MS)
    _fired(run, origin, "c1", 2 * HOUR_MS)
    assert check(run.run).counts == {}


def test_timers_of_several_events_compete():
    """It is the tick that they share."""
    run = Made(OFTEN)
    origins = [run.event(n, "cart", topic="purchase", item="a") for n in range(2)]
    run.tick(HOUR_MS)
    run.decide(origins[0], "outbid", campaign="c0", e="e-1", t=run.start_ms + HOUR_MS, s=0.1)
    _fired(run, origins[1], "c1", HOUR_MS, s=0.2)
    assert check(run.run).counts == {}


def test_a_push_of_an_earlier_tick_did_not_outbid():
    """A timer competes with those of its tick, not with what was decided before it was due."""
    run = Made(OFTEN)
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    _fired(run, origin, "c0", HOUR_MS, s=0.9)
    run.tick(2 * HOUR_MS)
    run.decide(origin, "outbid", campaign="c1", e="e-1", t=run.start_ms + 2 * HOUR_MS, s=0.2)
    _fired(run, origin, "c2", 2 * HOUR_MS, s=0.1)
    assert check(run.run).counts == {"outbid": 1}


def test_a_push_of_a_later_tick_did_not_outbid():
    """What stands before a push was decided by then."""
    run = Made(OFTEN)
    origin = run.event(0, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "outbid", campaign="c1", e="e-1", t=run.start_ms + HOUR_MS, s=0.2)
    _fired(run, origin, "c0", HOUR_MS, s=0.1)
    run.tick(2 * HOUR_MS)
    _fired(run, origin, "c2", HOUR_MS, s=0.9)
    assert check(run.run).counts == {"outbid": 1}
