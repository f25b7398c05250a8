"""The checker passes what keeps to the rules, up to the edge of each."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tests.governance import made
from tests.governance.checker import check
from tests.governance.made import MINUTE_MS, Made
from tests.governance.planted.clean import clean
from tests.governance.run import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from tests.governance.run import Rec


def test_a_run_that_keeps_to_the_rules_has_none():
    """Up to the edges: gap and caps just kept, quiet hours just over, a timer, a yes after an opt-out."""
    verdict = check(clean().run)
    assert verdict.counts == {}
    assert (verdict.decisions, verdict.pushes) == (8, 7)


def test_coupons_of_all_tasks_are_added_up():
    """Each task keeps to the budget, the two of them do not."""
    one, other = Made(), Made()
    for made_run in (one, other):
        made_run.push(2 * HOUR_MS, ["a"], "u1", "five", 500)
        made_run.push(DAY_MS + 3 * HOUR_MS, ["b"], "u2", "five", 500)
    assert check(one.run).counts == {}
    for (topic, _), records in other.run.records.items():
        one.run.records[topic, 1] = [dataclasses.replace(rec, partition=1) for rec in records]
    assert check(one.run).counts == {"budget": 1}


def test_an_opt_out_that_the_journal_folds_later_does_not_count_yet():
    """Order is the journal's, not that of times or topics."""
    run = Made()
    run.push(HOUR_MS)
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="c-0")
    assert check(run.run).counts == {}
    run.push(2 * HOUR_MS, ["b"])
    assert check(run.run).counts == {"consent": 1}


def test_quiet_hours_follow_the_clock_that_goes_back():
    """06:30 UTC is 08:30 in Berlin on the 25th of October 2025 and 07:30 on the 26th."""
    run, at = Made(), 5 * DAY_MS - 15 * HOUR_MS - 70 * MINUTE_MS
    run.prefers(0, quiet_hours=["22:00", "08:00"], time_zone="Europe/Berlin")
    run.push(at)
    assert check(run.run).counts == {}
    run.push(at + DAY_MS, ["b"])
    assert check(run.run).counts == {"quiet_hours": 1}


def test_a_zone_that_nobody_knows_is_quiet_all_day():
    """A push cannot be taken back."""
    run = Made()
    run.prefers(0, quiet_hours=["22:00", "08:00"], time_zone="Europe/Atlantis")
    run.push(14 * HOUR_MS)
    assert check(run.run).counts == {"quiet_hours": 1}


def test_the_same_event_twice_is_folded_once():
    """A duplicate of an opt-in that was withdrawn since changes nothing."""
    run = Made()
    run.prefers(0, consent=True)
    first: Rec = run.run.records["preferences", 0][-1]
    run.prefers(MINUTE_MS, consent=False)
    again = dataclasses.replace(first, offset=99)
    run.run.records["preferences", 0].append(again)
    run._journal("preferences", 99, 99)
    run.push(HOUR_MS)
    assert check(run.run).counts == {"consent": 1}


def test_silence_is_a_no_where_consent_is_asked_for():
    """A setting of the run."""
    run = Made(dataclasses.replace(made.RULES, must_consent=True))
    run.push(0)
    assert check(run.run).counts == {"consent": 1}


def test_a_reminder_may_show_what_another_campaign_has_shown():
    """A price that drops is news also of what was proposed yesterday."""
    run = Made()
    run.push(0)
    run.push(3 * DAY_MS, campaign="reminder")
    run.push(10 * DAY_MS, campaign="reminder")
    assert check(run.run).counts == {}


def test_who_is_held_back_by_one_campaign_is_pushed_by_others():
    """A control is of a campaign, a holdout of a shopper."""
    run = Made()
    run.decide(run.event(0, "view"), "control", campaign="another")
    run.decide(run.event(1, "view", "other"), "holdout", "other")
    run.push(2 * HOUR_MS)
    assert check(run.run).counts == {}


def test_a_cap_counts_the_window_that_ends_with_the_push():
    """A push each 8 hours: three in any 24. A millisecond sooner, and the fourth is one too many."""
    for sooner, counts in ((0, {}), (1, {"cap": 1})):
        run = Made()
        for n in range(4):
            run.push(n * (8 * HOUR_MS - sooner), [f"i{n}"], campaign=f"c{n}")
        assert check(run.run).counts == counts


def _fired(at: int, **more: Any) -> Made:
    """A timer that was due at 10 minutes, armed out of order after the tick of minute 20; fired at that of ``at``."""
    run = Made()
    run.event(15 * MINUTE_MS, "view", "other", item="b")
    run.tick(20 * MINUTE_MS)
    origin = run.event(5 * MINUTE_MS, "cart", topic="purchase", item="a")
    run.tick(at)
    run.decide(origin, "sent", campaign="next", d="c-0", t=run.start_ms + 10 * MINUTE_MS)
    run.candidate("c-0", **more)
    return run


def test_a_timer_armed_out_of_order_for_a_time_that_is_over_fires_at_the_next_tick():
    """The tick before it knew of no such timer: that its time was past is no violation."""
    assert check(_fired(30 * MINUTE_MS).run).counts == {}


def test_a_push_decided_at_no_tick_is_one_by_another_clock():
    """Waiting for the tick that it was decided at must not excuse what was decided at none."""
    run = _fired(30 * MINUTE_MS, decided_at=made.rfc3339(made.START_MS + 29 * MINUTE_MS))
    assert check(run.run).counts == {"clock": 1}
