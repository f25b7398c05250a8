"""The engine's decisions become rounds: what was a choice, what came of it, and how probable it was."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from streamer.core.campaigns.campaign import NEXT
from streamer.core.events import Event, Line, key64
from streamer.core.policy.experiments import Arm, Experiment, Splits
from streamer.core.settings import CoreSettings, PolicySettings
from streamer.ope.chances import Chances
from streamer.ope.decisions import DAY_MS, EARLY_MS, Decided, Told, join, wanted
from streamer.ope.judge import judge
from streamer.ope.log import LogError
from streamer.ope.policies import always, threshold

HOUR = 3_600_000
T0 = 1_750_000_000_000


def told(*rows: tuple[str, str, int, Decided], until: int = T0 + 30 * DAY_MS) -> Told:
    """(user, its topic:offset's time) rows on partition 0."""
    found = Told(last_ms=until)
    for user, origin, time_ms, row in rows:
        found.decide(user, 0, row)
        topic, _, offset = origin.partition(":")
        found.times[topic, 0, int(offset)] = time_ms
    return found


def row(n: int, reason: str = "sent", *, score: float = 0.5, **more) -> tuple[str, str, int, Decided]:
    origin = f"browse:{n}"
    return (
        f"user-{n}",
        origin,
        T0 + n,
        Decided(origin, "next", reason, f"e{n}", f"c{n}", score, i=(f"item-{n}",), **more),
    )


def chances(held: float = 0.0, *, least_worth: float = -1.0, try_share: float = 0.0) -> Chances:
    return Chances(Splits(PolicySettings(least_worth=least_worth, try_share=try_share)), {"next": held})


def outcome(kind: str, n: int, after_ms: int, *, user: str = "") -> Event:
    name = f"f{n}-{kind}-{after_ms}"
    who = user or f"user-{n}"
    return Event(who, name, "notifier", kind, T0 + n + after_ms, key64(name), candidate_id=f"c{n}")


def order(n: int, after_ms: int, item: str, price: float = 10.0) -> Event:
    name = f"o{n}-{after_ms}"
    return Event(f"user-{n}", name, "shop", "purchase", T0 + n + after_ms, key64(name), (Line(item, 1, 2, price),))


def rewards(found: Told, reward, *, held: float = 0.0, window_ms: int = DAY_MS) -> list[float]:
    earned: list[float] = join(found, reward, window_ms=window_ms, chances=chances(held)).log.rewards.tolist()
    return earned


def test_what_other_rules_refuse_is_no_choice():
    """Consent, caps and gaps stay whatever the policy, and so does what is asked before chance has a say; a control
    group and a low score are choices, and so is all that comes of what was tried.
    """
    choices = ["sent", "control", "holdout", "low_score", "no_gain", "not_worth_it", "over_budget"]
    others = ["consent", "min_gap", "outbid", "buys_anyway", "no_candidates"]
    assert [reason for reason in choices + others if wanted(Decided("browse:1", "next", reason))] == choices


def test_a_click_counts_within_its_window_and_not_after_it():
    """From the event decided on, not from now."""
    found = told(row(1), row(2), row(3))
    found.add(outcome("push_clicked", 1, HOUR))
    found.add(outcome("push_clicked", 2, DAY_MS + 1))
    found.add(outcome("push_opened", 3, HOUR))
    assert rewards(found, "clicked") == [1, 0, 0]
    assert rewards(found, "opened") == [0, 0, 1]
    assert rewards(found, "clicked", window_ms=2 * DAY_MS) == [1, 1, 0]


def test_the_first_of_several_clicks_counts():
    """However the feedback arrives."""
    found = told(row(1))
    found.add(outcome("push_clicked", 1, 2 * DAY_MS))
    found.add(outcome("push_clicked", 1, HOUR))
    assert rewards(found, "clicked") == [1]


def test_an_order_that_was_sent_again_counts_once():
    """A producer's retry, or the copy that went on through ``ingress``: the same id of the same shopper."""
    found = told(row(1), row(2))
    for _ in range(3):
        found.add(order(1, HOUR, "item-1"))
    found.add(order(1, 2 * HOUR, "item-1"))
    assert rewards(found, "spent") == [40, 0]


def test_another_shopper_s_event_of_the_same_id_is_another_event():
    """Ids are told apart within a shopper, as the engine does."""
    found = told(row(1), row(2))
    for n in (1, 2):
        found.add(replace(order(n, HOUR, "item-1"), fingerprint=7))
    assert rewards(found, "spent") == [20, 20]


def test_a_click_of_another_shopper_is_not_of_this_push():
    """A forwarded link, or a client that mixes up its users: to the engine it is an orphan."""
    found = told(row(1))
    found.add(outcome("push_clicked", 1, HOUR, user="bob"))
    assert rewards(found, "clicked") == [0]


def test_what_is_told_of_a_push_before_it_was_decided_on_is_not_of_it_but_for_clocks_that_differ():
    """Five minutes; and an impossible click does not hide the one that came later."""
    found = told(row(1), row(2), row(3))
    found.add(outcome("push_clicked", 1, -EARLY_MS))
    found.add(outcome("push_clicked", 2, -EARLY_MS - 1))
    found.add(outcome("push_clicked", 3, -DAY_MS))
    found.add(outcome("push_clicked", 3, HOUR))
    assert rewards(found, "clicked") == [1, 0, 1]


def test_purchases_count_pushed_or_not():
    """Any, of an item decided on, and what was paid: two pieces at 10."""
    found = told(row(1), row(2, "control"), row(3, "control"))
    found.add(order(1, HOUR, "item-9"))
    found.add(order(2, HOUR, "item-2"))
    assert rewards(found, "bought", held=0.1) == [1, 1, 0]
    assert rewards(found, "bought-item", held=0.1) == [0, 1, 0]
    assert rewards(found, "spent", held=0.1) == [20, 20, 0]


def test_what_was_bought_before_the_decision_was_not_earned_by_it():
    """The order that triggered a decision is no reward of it."""
    found = told(row(1))
    found.add(order(1, 0, "item-1"))
    assert rewards(found, "bought") == [0]


def test_a_decision_whose_window_has_not_ended_is_left_out_and_counted():
    """Its no is not yet a no."""
    found = told(row(1), row(2), until=T0 + 1 + DAY_MS)
    joined = join(found, "clicked", window_ms=DAY_MS, chances=chances())
    assert len(joined.log) == 1
    assert joined.left_out == {"the window for its reward has not ended": 1}


def test_a_decision_whose_event_is_gone_is_left_out_and_counted():
    """Topics of events are kept for a shorter time than decisions."""
    found = told(row(1), row(2))
    del found.times["browse", 0, 2]
    assert join(found, "clicked", window_ms=DAY_MS, chances=chances()).left_out == {
        "the event decided on is no longer in its topic": 1
    }


def test_a_timer_s_decision_counts_from_when_it_was_due():
    """Its origin is the event that armed it, an hour before."""
    found = told(row(1, t=T0 + 1 + HOUR))
    found.add(outcome("push_clicked", 1, DAY_MS + HOUR))
    assert rewards(found, "clicked") == [1]


def test_propensities_are_those_of_the_control_group():
    """What is sent was sent with 0.9, what was held back with 0.1, and what a score refuses for certain."""
    log = join(
        told(row(1), row(2, "control"), row(3, "low_score")), "bought", window_ms=DAY_MS, chances=chances(0.1)
    ).log
    assert log.propensities.tolist() == pytest.approx([0.9, 0.1, 1.0])
    assert log.offered is not None
    assert np.allclose(log.offered, [[0.1, 0.9], [0.1, 0.9], [1.0, 0.0]])


def test_what_is_tried_though_not_worth_it_gives_support_below_the_least_worth():
    """One in twenty of what is worth less than 1, none of it held back but by the control group."""
    rows = (row(1, w=2.0), row(2, w=0.5, p=0.05), row(3, "not_worth_it", w=0.5), row(4, "control", w=2.0))
    log = join(told(*rows), "bought", window_ms=DAY_MS, chances=chances(0.2, least_worth=1.0, try_share=0.05)).log
    assert log.propensities.tolist() == pytest.approx([0.8, 0.04, 0.96, 0.2])
    possible, which = log.possible()
    assert possible[which].all()


@pytest.mark.parametrize("reason", ["control", "not_worth_it"])
def test_settings_that_the_log_cannot_have_been_made_under_are_refused(reason: str):
    """Held back where nobody is, or not tried where everything is worth it."""
    with pytest.raises(LogError, match="settings"):
        join(told(row(1), row(2, reason)), "bought", window_ms=DAY_MS, chances=chances())


def test_the_share_held_back_is_that_of_holdout_and_control_group_together():
    """Drawn apart: 10 % and of the rest 20 %."""
    core = CoreSettings(
        policy=PolicySettings(holdout_share=0.1, try_share=0.02), campaigns=(replace(NEXT, control_share=0.2),)
    )
    decided = row(1)[-1]
    assert Chances.of(core).send("ann", decided) == pytest.approx(0.72)
    assert Chances.of(core).send("ann", replace(decided, w=-1.0)) == pytest.approx(0.72 * 0.02)


def test_arms_that_hold_back_other_shares_have_chances_of_their_own():
    """Where an experiment changes the holdout, the settings of the shopper's arm say how probable a push was."""
    arms = (Arm("few", 0.5, (("holdout_share", 0.1),)), Arm("many", 0.5, (("holdout_share", 0.6),)))
    split = Experiment("held", arms)
    chances = Chances.of(CoreSettings(campaigns=(NEXT,), experiments=(split,)))
    users = [f"user-{n}" for n in range(20)]
    found = {user: chances.send(user, row(1)[-1]) for user in users}
    assert found == {user: pytest.approx(0.9 if split.arm(user).name == "few" else 0.4) for user in users}
    assert len(set(found.values())) == 2


def test_a_log_that_pushed_always_cannot_say_what_no_push_would_have_earned():
    """Of purchases, that is; of clicks it can, since what is not sent is not clicked."""
    found = told(*(row(n) for n in range(300)))
    for n in range(0, 300, 3):
        found.add(order(n, HOUR, "item-1"))
        found.add(outcome("push_clicked", n, HOUR))
    bought = join(found, "bought", window_ms=DAY_MS, chances=chances()).log
    (hold,) = judge(bought, [always(bought, "hold")], replicates=50)["policies"]
    assert "hold (100.0%)" in hold["refused"][0]
    clicked = join(found, "clicked", window_ms=DAY_MS, chances=chances()).log
    (none,) = judge(clicked, [always(clicked, "hold")], replicates=50)["policies"]
    assert none["refused"] == []
    for name in ("ips", "snips", "dr"):
        each = none["estimates"][name]
        assert (each["low"], each["value"], each["high"]) == (0, 0, 0), name


def test_a_control_group_tells_what_pushes_bring():
    """Pushes raise the rate of purchase from 10 % to 30 %, in a seeded shop; both are within the intervals."""
    random = np.random.Generator(np.random.PCG64(21))
    found = told()
    for n in range(4000):
        reason = "control" if random.random() < 0.2 else "sent"
        user, origin, time_ms, decided = row(n, reason, f=(float(n % 7), 1.0))
        found.decide(user, 0, decided)
        found.times["browse", 0, n] = time_ms
        assert origin == f"browse:{n}"
        if random.random() < (0.3 if reason == "sent" else 0.1):
            found.add(order(n, HOUR, "item-1"))
    found.last_ms = T0 + 9 * DAY_MS
    log = join(found, "bought", window_ms=DAY_MS, chances=chances(0.2)).log
    send, hold = judge(log, [always(log, "send"), always(log, "hold")], replicates=200)["policies"]
    for one, truth in ((send, 0.3), (hold, 0.1)):
        for name in ("ips", "snips", "dr"):
            each = one["estimates"][name]
            assert each["low"] < truth < each["high"], (name, each)
    assert hold["estimates"]["snips"]["above"][2] < 0


def test_a_threshold_may_look_at_the_worth():
    """Which is the score where the decision has no other."""
    log = join(told(row(1, w=0.2), row(2, w=-0.1), row(3)), "clicked", window_ms=DAY_MS, chances=chances()).log
    assert threshold(log, 0.0, "worth").rows.tolist() == [1, 0, 1]
    with pytest.raises(LogError, match="no score 'height'"):
        threshold(log, 0.0, "height")


def test_an_arm_is_judged_by_the_users_who_were_in_it():
    """Arms are drawn by user, so an arm's probability is its share of the users, and who is in none is left out."""
    arms = {1: "net", 2: "net", 3: "linear", 4: "net"}
    found = told(*(row(n, x=("colour:red", f"ranker:{arm}")) for n, arm in arms.items()), row(5))
    found.add(outcome("push_clicked", 3, HOUR))
    joined = join(found, "clicked", window_ms=DAY_MS, chances=chances(), experiment="ranker")
    assert joined.left_out == {"not in the experiment": 1}
    assert joined.log.names == ("linear", "net")
    assert joined.log.propensities.tolist() == [0.75, 0.75, 0.25, 0.75]


def test_a_decision_whose_feedback_and_orders_may_be_gone_is_no_round() -> None:
    """Its noes would be those of an empty topic. Decisions are kept longer than what came of them."""
    found = told(row(0), row(HOUR), row(2 * HOUR))
    found.complete_ms = T0 + HOUR - EARLY_MS
    joined = join(found, "clicked", window_ms=DAY_MS, chances=chances())
    assert joined.log.ids == (f"c{HOUR}", f"c{2 * HOUR}")
    assert joined.left_out == {"what came of it is no longer in topics feedback and purchase": 1}


def test_decisions_are_chosen_by_when_they_were_made() -> None:
    """From the first time on, and before the second."""
    found = told(*[row(n * HOUR) for n in range(4)])
    between = (T0 + HOUR, T0 + 3 * HOUR)
    joined = join(found, "clicked", window_ms=DAY_MS, chances=chances(), between=between)
    assert joined.log.ids == (f"c{HOUR}", f"c{2 * HOUR}")
    assert joined.left_out == {"not of the time that is asked about": 2}
