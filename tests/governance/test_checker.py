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


def test_what_was_given_back_may_be_shown_again():
    """Who does not have it may want it."""
    run = Made()
    run.event(0, "purchase", topic="purchase", item="a")
    run.event(1, "refund", topic="purchase", item="a")
    run.push(HOUR_MS)
    assert check(run.run).counts == {}


def test_a_push_of_before_somebody_was_forgotten_is_forgotten_too():
    """Also if it is dismissed afterwards."""
    run = Made()
    first = run.push(0)
    run.prefers(1, erase=True)
    run.event(2, "push_dismissed", topic="feedback", candidate_id=first)
    run.push(3 * DAY_MS)
    assert check(run.run).counts == {}


def test_a_push_that_somebody_else_dismissed_is_not_theirs():
    """It is one of their dismissals all the same, but says nothing of its items."""
    run = Made()
    first = run.push(0)
    run.event(1, "push_dismissed", "other", "feedback", candidate_id=first)
    run.push(3 * HOUR_MS, user="other")
    assert check(run.run).counts == {}


def test_a_reminder_may_show_what_was_bought_before_it_was_put_into_the_cart_again():
    """Milk is."""
    run = Made()
    run.event(0, "purchase", topic="purchase", item="a")
    origin = run.event(1, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "sent", campaign="reminder", d="milk", t=run.start_ms + HOUR_MS)
    run.candidate("milk", campaign="reminder")
    assert check(run.run).counts == {}


def test_a_category_that_was_told_just_now_need_not_be_known():
    """Nor one of which events tell two."""
    run = Made()
    for n in range(3):
        run.event(n * 8 * HOUR_MS - n - 1, "view", item=f"i{n}", category="shoes")
        run.push(n * 8 * HOUR_MS - n, [f"i{n}"], campaign=f"c{n}")
    for n in range(3):
        run.event(2 * DAY_MS, "view", item=f"j{n}", category="hats" if n else "caps")
        run.event(2 * DAY_MS, "view", item=f"j{n}", category="hats")
    for n in range(3):
        run.push(4 * DAY_MS + n * 8 * HOUR_MS - n, [f"j{n}"], campaign=f"c{n}")
    assert check(run.run).counts == {}


def test_what_is_much_older_than_the_newest_is_dropped():
    """A dismissal of eight days ago, and a look: of neither anybody knows."""
    run = Made()
    first = run.push(0)
    run.event(8 * DAY_MS, "view")
    run.event(8 * DAY_MS, "push_dismissed", topic="feedback", fast_ms=-7 * DAY_MS - 1, candidate_id=first)
    run.event(8 * DAY_MS, "wishlist", fast_ms=-7 * DAY_MS - 1)
    run.push(9 * DAY_MS)
    assert check(run.run).counts == {}


def test_an_event_is_known_again_for_seven_days():
    """Then it is another one."""
    for at, counts in ((7 * DAY_MS, {"surplus": 2}), (7 * DAY_MS + 1001, {})):
        run = Made()
        for when in (0, at):
            run.event(when - 1, "view")
            origin = run.event(when, "wishlist", id="same")
            for campaign in ("next", "reminder"):
                run.decide(origin, "min_gap", campaign=campaign)
        assert check(run.run).counts == counts


def test_what_is_tried_may_be_worth_too_little_if_it_is_sent_that_seldom():
    """Everybody is tried where the share is all of them."""
    run = Made(dataclasses.replace(made.RULES, least_worth=0.0, try_share=1.0))
    run.push(0, said={"s": 0.5, "w": -1.0})
    assert check(run.run).counts == {}


def test_a_click_that_is_told_twice_is_one():
    """It takes back the dismissals before it, and none of those between."""
    ids = [f"{n:032x}" for n in range(1, 4)]
    run = Made()
    for n, about in enumerate(ids[:2]):
        run.decide(run.event(n * 3 * HOUR_MS, "view"), "sent", campaign=f"c{n}", d=about)
        run.candidate(about, campaign=f"c{n}", items=[f"i{n}"])
        run.event(n * 3 * HOUR_MS + 1, "push_clicked", topic="feedback", candidate_id=ids[0])
        run.event(n * 3 * HOUR_MS + 2, "push_dismissed", topic="feedback", candidate_id=about)
    run.decide(run.event(5 * HOUR_MS - 1, "view"), "sent", campaign="c2", d=ids[2])
    run.candidate(ids[2], campaign="c2", items=["i2"])
    assert check(run.run).counts == {"min_gap": 1}
