"""The checker passes a run that keeps to the rules, and counts a violation planted against each of them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.governance import made
from tests.governance.checker import RULES, check
from tests.governance.made import MINUTE_MS, Made
from tests.governance.run import DAY_MS, HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.governance.run import Rec

LATER_MS: Final = 28 * DAY_MS


def _opted_out(run: Made) -> None:
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.push(HOUR_MS)


def _opted_out_by_a_slow_clock(run: Made) -> None:
    run.prefers(HOUR_MS, consent=True)
    run.prefers(0, consent=False)
    run.push(2 * HOUR_MS)


def _opted_out_at_the_time_of_a_yes(run: Made) -> None:
    run.prefers(0, consent=False)
    run.prefers(0, consent=True)
    run.push(HOUR_MS)


def _unsubscribed_by_a_slow_clock(run: Made) -> None:
    run.prefers(HOUR_MS, consent=True)
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.push(2 * HOUR_MS)


def _opted_out_before_a_yes_that_was_taken_back(run: Made) -> None:
    """The no is as new as the yes that it took back: another one from in between is older."""
    run.prefers(HOUR_MS, consent=True)
    run.prefers(0, consent=False)
    run.prefers(HOUR_MS // 2, consent=True)
    run.push(2 * HOUR_MS)


def _no_that_is_newer_than_what_unsays(run: Made) -> None:
    run.prefers(HOUR_MS, consent=False)
    run.unsays(0)
    run.push(2 * HOUR_MS)


def _unsubscribed_and_unsaid(run: Made) -> None:
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.unsays(HOUR_MS)
    run.push(2 * HOUR_MS)


def _yes_of_before_it_was_unsaid(run: Made) -> None:
    run.run.rules = dataclasses.replace(run.run.rules, must_consent=True)
    run.unsays(HOUR_MS)
    run.prefers(0, consent=True)
    run.push(2 * HOUR_MS)


def _forgotten_with_a_no(run: Made) -> None:
    run.prefers(0, erase=True, consent=False)
    run.push(HOUR_MS)


def _forgotten_with_a_yes(run: Made) -> None:
    run.run.rules = dataclasses.replace(run.run.rules, must_consent=True)
    run.prefers(0, erase=True, consent=True)
    run.push(HOUR_MS)


def _no_of_one_who_is_forgotten(run: Made) -> None:
    run.prefers(HOUR_MS, erase=True)
    run.prefers(0, consent=False)
    run.push(2 * HOUR_MS)


def _unsubscription_of_one_who_is_forgotten(run: Made) -> None:
    run.prefers(HOUR_MS, erase=True)
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.push(2 * HOUR_MS)


def _channel(run: Made) -> None:
    run.prefers(0, channels=["email"])
    run.push(HOUR_MS)


def _channel_that_is_newer_than_what_unsays(run: Made) -> None:
    run.prefers(0, consent=True)
    run.prefers(HOUR_MS, channels=["email"])
    run.unsays(HOUR_MS - 1)
    run.push(2 * HOUR_MS)


def _quiet(run: Made) -> None:
    # 22:40 UTC is 23:40 in Berlin, in winter.
    run.prefers(0, quiet_hours=["23:00", "07:00"], time_zone="Europe/Berlin")
    run.push(MINUTE_MS)


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


def _bought(run: Made) -> None:
    run.event(0, "purchase", topic="purchase", items=[{"id": "b"}, {"id": "a"}])
    run.push(HOUR_MS)


def _dismissed(run: Made) -> None:
    first = run.push(0)
    run.event(1, "push_dismissed", topic="feedback", candidate_id=first)
    run.push(20 * DAY_MS)


def _repeat(run: Made) -> None:
    run.push(0, ["a", "b"])
    run.push(3 * DAY_MS, ["b"])


def _repeat_of_another(run: Made) -> None:
    run.push(0, campaign="reminder")
    run.push(3 * DAY_MS)


def _repeat_of_a_reminder(run: Made) -> None:
    run.push(0, campaign="reminder")
    run.push(3 * DAY_MS, campaign="reminder")


def _out_of_stock(run: Made) -> None:
    run.item("a", stock=3)
    run.item("a", stock=0)
    run.push(0)


def _expired(run: Made) -> None:
    run.push(0, expires_at=made.rfc3339(run.start_ms))


def _holdout(run: Made) -> None:
    run.decide(run.event(0, "view"), "holdout", p=0.05)
    run.push(HOUR_MS, campaign="another")


def _control(run: Made) -> None:
    run.decide(run.event(0, "view"), "control")
    run.push(HOUR_MS)


def _holdout_that_is_told_later(run: Made) -> None:
    run.push(0, campaign="another")
    run.decide(run.event(HOUR_MS, "view"), "holdout", p=0.05)


def _control_that_is_told_later(run: Made) -> None:
    run.push(0)
    run.decide(run.event(HOUR_MS, "view"), "control")


def _another_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:red"])
    run.decide(run.event(1, "view"), "min_gap")
    run.decide(run.event(2, "view"), "low_score", e="e-2", x=["colour:blue"])


def _candidate_of_another_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:red"])
    run.push(1, experiments=[{"id": "colour", "arm": "blue"}])


def _arm_before_ranking(run: Made) -> None:
    run.push(0)
    origin = run.event(1, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "min_gap", t=run.start_ms + HOUR_MS, x=["colour:blue"])


def _no_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=[])


def _no_arm_before_ranking(run: Made) -> None:
    run.decide(run.event(0, "view"), "min_gap", x=[])


def _no_arm_of_a_candidate(run: Made) -> None:
    run.push(0, experiments=[])


def _no_arm_of_what_others_tell(run: Made) -> None:
    """Also where nobody knows the experiments: a shopper is in one or is not."""
    run.run.rules = dataclasses.replace(run.run.rules, experiments={})
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=[])
    run.decide(run.event(1, "view"), "low_score", e="e-2")


def _no_such_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:green"])


def _no_such_experiment(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:red", "size:small"])


def _no_collapse_key(run: Made) -> None:
    run.push(0, collapse_key="")


def _another_collapse_key(run: Made) -> None:
    run.push(0, collapse_key="again")


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


def _another_time(run: Made) -> None:
    run.push(0, decided_at=made.rfc3339(run.start_ms + 1), expires_at=made.rfc3339(run.start_ms + HOUR_MS))


def _later_by_a_fast_clock(run: Made) -> None:
    """Stream time is not that of the one device whose clock is fast."""
    run.event(0, "view", "other", fast_ms=4 * MINUTE_MS)
    run.push(MINUTE_MS, decided_at=made.rfc3339(run.start_ms + 4 * MINUTE_MS))


def _drop(run: Made, item: str, was: str, price: str, offset: int = 0) -> None:
    run.item("a", price=20.0)
    run.item("a", price=15.0)
    run.event(0, "view", item=item)
    trigger = {"type": "price_drop", "topic": "catalog", "offset": offset}
    run.push(HOUR_MS, trigger=trigger, template={"vars": {"price_was": was, "price": price}})


def _drop_to_another_price(run: Made) -> None:
    _drop(run, "a", "20.00", "14.00")


def _drop_from_another_price(run: Made) -> None:
    _drop(run, "a", "25.00", "15.00")


def _drop_of_what_nobody_wanted(run: Made) -> None:
    _drop(run, "b", "20.00", "15.00")


def _drop_that_is_yet_to_be_read(run: Made) -> None:
    _drop(run, "a", "20.00", "15.00", offset=99)


def _back_but_never_gone(run: Made) -> None:
    run.item("a", stock=3)
    run.item("a", stock=4)
    run.event(0, "cart", topic="purchase", item="a")
    run.push(HOUR_MS, trigger={"type": "back_in_stock", "topic": "catalog", "offset": 0})


def _day_cap(run: Made) -> None:
    for n in range(4):
        run.push(n * 8 * HOUR_MS - n, [f"i{n}"], campaign=f"c{n}")


def _day_of_coupons(run: Made) -> None:
    # From midnight on, so that the three are of one day.
    for n in range(3):
        run.push(n * 5 * HOUR_MS + 2 * HOUR_MS, [f"i{n}"], f"u{n}", "five", 500)


def _all_coupons(run: Made) -> None:
    for n in range(4):
        run.push(n * DAY_MS + 2 * HOUR_MS, [f"i{n}"], f"u{n}", "five", 500)


def _shares(run: Made) -> None:
    run.push(2 * HOUR_MS, ["a"], "u1", "share", 300)
    run.push(3 * HOUR_MS, ["b"], "u2", "share", 501)


def _another_price(run: Made) -> None:
    run.push(0, campaign="five", cents=499)


def _untold_price(run: Made) -> None:
    run.push(0, campaign="share")


def _coupon_of_none(run: Made) -> None:
    run.push(0, cents=500)


PLANTED: Final[dict[str, tuple[str, Callable[[Made], None]]]] = {
    "opt-out": ("consent", _opted_out),
    "opt-out by a slow clock": ("consent", _opted_out_by_a_slow_clock),
    "opt-out at the time of a yes": ("consent", _opted_out_at_the_time_of_a_yes),
    "unsubscription by a slow clock": ("consent", _unsubscribed_by_a_slow_clock),
    "yes older than the one taken back": ("consent", _opted_out_before_a_yes_that_was_taken_back),
    "no newer than what unsays": ("consent", _no_that_is_newer_than_what_unsays),
    "unsubscribed and unsaid": ("consent", _unsubscribed_and_unsaid),
    "yes of before it was unsaid": ("consent", _yes_of_before_it_was_unsaid),
    "forgotten with a no": ("consent", _forgotten_with_a_no),
    "forgotten with a yes": ("consent", _forgotten_with_a_yes),
    "no of one who is forgotten": ("consent", _no_of_one_who_is_forgotten),
    "unsubscription of one who is forgotten": ("consent", _unsubscription_of_one_who_is_forgotten),
    "channel": ("channel", _channel),
    "channel newer than what unsays": ("channel", _channel_that_is_newer_than_what_unsays),
    "quiet hours": ("quiet_hours", _quiet),
    "hour": ("cap", _hour_cap),
    "day": ("cap", _day_cap),
    "campaign": ("campaign_cap", _campaign_cap),
    "category": ("category_cap", _category_cap),
    "gap": ("min_gap", _gap),
    "bought": ("bought", _bought),
    "dismissed": ("dismissed", _dismissed),
    "repeat": ("repeat", _repeat),
    "repeat of another campaign": ("repeat", _repeat_of_another),
    "repeat of a reminder": ("repeat", _repeat_of_a_reminder),
    "coupons of a day": ("budget", _day_of_coupons),
    "all coupons": ("budget", _all_coupons),
    "shares of the price": ("budget", _shares),
    "another price": ("budget", _another_price),
    "no price": ("budget", _untold_price),
    "a coupon of none": ("budget", _coupon_of_none),
    "out of stock": ("out_of_stock", _out_of_stock),
    "expired": ("expired", _expired),
    "holdout": ("holdout", _holdout),
    "control": ("control", _control),
    "holdout told later": ("holdout", _holdout_that_is_told_later),
    "control told later": ("control", _control_that_is_told_later),
    "arm": ("arm", _another_arm),
    "arm of a candidate": ("arm", _candidate_of_another_arm),
    "arm before ranking": ("arm", _arm_before_ranking),
    "no arm": ("arm", _no_arm),
    "no arm before ranking": ("arm", _no_arm_before_ranking),
    "no arm of a candidate": ("arm", _no_arm_of_a_candidate),
    "no arm of what others tell": ("arm", _no_arm_of_what_others_tell),
    "no such arm": ("arm", _no_such_arm),
    "no such experiment": ("arm", _no_such_experiment),
    "no collapse key": ("collapse_key", _no_collapse_key),
    "another collapse key": ("collapse_key", _another_collapse_key),
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
    "another time": ("clock", _another_time),
    "a fast clock's time": ("clock", _later_by_a_fast_clock),
    "drop to another price": ("news", _drop_to_another_price),
    "drop from another price": ("news", _drop_from_another_price),
    "drop of another item": ("news", _drop_of_what_nobody_wanted),
    "drop to come": ("news", _drop_that_is_yet_to_be_read),
    "never gone": ("news", _back_but_never_gone),
}


@pytest.mark.parametrize(("rule", "plant"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_counted_and_nothing_else(rule: str, plant: Callable[[Made], None]):
    """One of each rule, in an otherwise clean run."""
    run = _clean()
    plant(run)
    assert check(run.run).counts == {rule: 1}


def test_every_rule_has_a_planted_violation():
    """None of them is there in vain."""
    assert {rule for rule, _ in PLANTED.values()} == set(RULES)


def _clean() -> Made:
    """Another shopper, whom everything is done right by, up to the edge of each rule."""
    run, user = Made(), "v"
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


def test_a_run_that_keeps_to_the_rules_has_none():
    """Up to the edges: gap and caps just kept, quiet hours just over, a timer, a yes after an opt-out."""
    verdict = check(_clean().run)
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
    run.push(2)
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
