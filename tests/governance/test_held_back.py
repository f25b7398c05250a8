"""What is held back counts like a push; where nobody knows when it was, no more is said than is true of all moments."""

from __future__ import annotations

import dataclasses
from itertools import count
from typing import Final

import pytest

from tests.governance import made
from tests.governance.checker import check
from tests.governance.hashes import is_control, is_held_out
from tests.governance.made import MINUTE_MS, Made
from tests.governance.run import DAY_MS, HOUR_MS

GAP: Final = dataclasses.replace(made.RULES, caps=())


def _held_back_at_one_of_two_ticks(push_at: int) -> Made:
    """A push; a timer that was due before the first of two ticks, of which nobody was pushed; then another push."""
    run = Made(GAP)
    run.push(0)
    origin = run.event(1, "cart", topic="purchase", item="b")
    run.tick(20 * MINUTE_MS)
    run.tick(40 * MINUTE_MS)
    run.decide(origin, "control", campaign="another", t=run.start_ms + 10 * MINUTE_MS)
    run.push(push_at, ["b"])
    return run


@pytest.mark.parametrize(("push_at", "counts"), [(50, {}), (49, {"min_gap": 1})])
def test_it_was_held_back_at_either_tick(push_at: int, counts: dict[str, int]):
    """At 40, not half an hour after the push of 0 else; and at 20, not half an hour before that of 50."""
    assert check(_held_back_at_one_of_two_ticks(push_at * MINUTE_MS).run).counts == counts


def test_what_was_sent_next_tells_when_it_was_held_back_at_the_latest():
    """At the tick of 20 minutes, as what stands behind it was sent then: too soon after a push."""
    run = Made(dataclasses.replace(made.RULES, caps=()))
    run.push(0)
    origin = run.event(1, "cart", topic="purchase", item="b")
    run.tick(20 * MINUTE_MS)
    run.decide(origin, "control", campaign="another", t=run.start_ms + 10 * MINUTE_MS)
    other = run.start_ms + 10 * MINUTE_MS
    run.decide(origin, "sent", "other", d="c-other", t=other)
    run.candidate("c-other", "other")
    run.tick(40 * MINUTE_MS)
    assert check(run.run).counts == {"min_gap": 1}


def test_a_timer_asks_at_no_tick_before_its_event():
    """It was due at 5 minutes by an event of then, which was read after the tick of 20."""
    run = Made(GAP)
    run.push(0)
    run.tick(20 * MINUTE_MS)
    origin = run.event(5 * MINUTE_MS, "cart", topic="purchase", item="b")
    run.tick(30 * MINUTE_MS)
    run.decide(origin, "control", campaign="another", t=run.start_ms + 6 * MINUTE_MS)
    run.decide(run.event(30 * MINUTE_MS + 1, "view"), "min_gap")
    assert check(run.run).counts == {}


def test_nobody_is_tired_of_what_was_held_back():
    """Nor of what never came."""
    run = Made(dataclasses.replace(made.RULES, score_threshold=0.1, fatigue_bits=1.0, fatigue_most_bits=3.0))
    for n in range(3):
        run.decide(run.event(n * DAY_MS, "view"), "control", campaign="another", i=[f"i{n}"], s=0.1)
    failed = run.push(4 * DAY_MS, ["y"], said={"s": 0.1})
    run.event(4 * DAY_MS + 1, "push_failed", topic="feedback", candidate_id=failed)
    run.push(6 * DAY_MS, ["z"], said={"s": 0.1})
    assert check(run.run).counts == {}


@pytest.mark.parametrize("reason", ["holdout", "control"])
def test_who_is_of_both_groups_may_be_told_as_either(reason: str):
    """Whichever is asked first."""
    users = map("both-{}".format, count())
    user = next(user for user in users if is_held_out(user, 0.1, 1) and is_control(user, "next", 0.1, 1))
    run = Made(dataclasses.replace(made.RULES, holdout_share=0.1, control_shares={"next": 0.1}))
    run.decide(run.event(0, "view", user), reason, user)
    assert check(run.run).counts == {}


def test_shares_of_few_are_left_to_chance():
    """Of thirty shoppers of whom a tenth is held out, none may be."""
    users = (user for user in map("user-{}".format, count()) if not is_held_out(user, 0.1, 1))
    run = Made(dataclasses.replace(made.RULES, holdout_share=0.1))
    for n in range(30):
        run.push(n, user=next(users))
    assert check(run.run).counts == {}


def test_a_day_has_room_again_a_day_after_what_was_held_back():
    """To the millisecond, as after a push."""
    for sooner, counts in ((0, {}), (1, {"cap": 1})):
        run = Made()
        for n in range(3):
            run.decide(run.event(n * HOUR_MS, "view"), "holdout", campaign=f"c{n}", i=[f"i{n}"])
        run.decide(run.event(DAY_MS - sooner, "view"), "holdout", campaign="c3", i=["i3"])
        assert check(run.run).counts == counts
