"""Decisions under exploration become rounds whose actions are the ranks of the items that could have been pushed."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.events import Event
from streamer.core.policy.experiments import Arm, Experiment, Splits
from streamer.core.settings import PolicySettings
from streamer.ope.chances import Chances
from streamer.ope.decisions import DAY_MS, HOUR_MS, Decided, Told
from streamer.ope.items import COMPETED, NOT_EXPLORED, join_items
from streamer.ope.judge import judge
from streamer.ope.log import LogError
from streamer.ope.policies import always, explore, random

T0 = 1_750_000_000_000
AMONG = (("a", 0.3, 0.75), ("b", 0.2, 0.2), ("c", 0.1, 0.05))
"""What half of exploring leaves the best of three with: Thompson's choice is .5, .4 and .1."""


def chances(share: float = 0.5) -> Chances:
    return Chances(Splits(PolicySettings(explore_share=share)), {})


def told(*rows: Decided) -> Told:
    """A user and a second for each event."""
    found = Told(last_ms=T0 + 30 * DAY_MS)
    for row in rows:
        offset = int(row.o.partition(":")[2])
        found.decide(f"user-{offset}", 0, row)
        found.times["browse", 0, offset] = T0 + offset * 1000
    return found


def row(n: int, item: str = "a", reason: str = "sent", *, campaign: str = "next", **more) -> Decided:
    return Decided(
        f"browse:{n}", campaign, reason, f"e{n}", f"{campaign}-{n}", 0.3, **({"i": (item,), "a": AMONG} | more)
    )


def clicked(n: int, user: int | None = None) -> Event:
    who = f"user-{n if user is None else user}"
    return Event(who, f"f{n}", "shop", "push_clicked", T0 + n * 1000 + HOUR_MS, n, candidate_id=f"next-{n}")


def test_the_item_drawn_is_an_action_by_its_rank_with_the_probability_it_was_drawn_by():
    """Not the probability to be pushed: what becomes of a proposal is none of the choice."""
    found = told(row(1, "c"), row(2), row(3, "b", "holdout"), row(4, "b", "not_worth_it"))
    found.add(clicked(1))
    log = join_items(found, "clicked", window_ms=DAY_MS, chances=chances()).log
    assert log.names == ("1", "2", "3")
    assert log.actions.tolist() == [2, 0, 1, 1]
    assert log.propensities.tolist() == [0.05, 0.75, 0.2, 0.2]
    assert log.rewards.tolist() == [1, 0, 0, 0]


def test_what_has_no_alternatives_and_what_competed_is_left_out_and_counted():
    """An event that two campaigns asked on has two decisions, and what was drawn had a say in which was sent."""
    rival = row(2, reason="outbid", campaign="cart")
    held = row(3, reason="min_gap", campaign="cart", i=(), a=())
    found = told(row(1, a=()), row(2), rival, row(3), held)
    joined = join_items(found, "clicked", window_ms=DAY_MS, chances=chances())
    assert joined.log.ids == ("next-3",)
    assert joined.left_out == {NOT_EXPLORED: 1, COMPETED: 2}


@pytest.mark.parametrize("reason", ["buys_anyway", "no_gain", "over_budget"])
def test_a_coupon_that_was_refused_has_competed_all_the_same(reason: str):
    """It stood beside the other until then: what was drawn had a say in which was asked first."""
    found = told(row(1), row(1, reason=reason, campaign="give"), row(2))
    assert found.competed == {"next-1", "give-1"}


def test_timers_of_one_moment_compete_and_those_of_another_day_do_not():
    """Their origins are different events; what they have in common is when they were due."""
    found = told(row(1, t=T0), row(5, t=T0))
    assert not found.competed
    for n, due in ((6, T0), (7, T0 + 60_000), (8, T0 + DAY_MS)):
        found.decide("ann", 0, row(n, t=due))
    assert found.competed == {"next-6", "next-7"}


def test_another_share_of_exploration_has_the_probabilities_it_would_have_drawn_by():
    """None takes the best, all draws as Thompson does, the logged share gives the logged probabilities."""
    log = join_items(told(row(1)), "clicked", window_ms=DAY_MS, chances=chances()).log
    for share, expected in ((0.0, [1, 0, 0]), (1.0, [0.5, 0.4, 0.1]), (0.5, [0.75, 0.2, 0.05])):
        assert explore(log, share).table[0].tolist() == pytest.approx(expected)


def test_the_share_explored_is_that_of_the_shopper_s_arm():
    """An experiment may change it."""
    arm = Experiment("all", (Arm("all", 1.0, (("explore_share", 1.0),)),))
    terms = Chances(Splits(PolicySettings(explore_share=0.5), (arm,)), {})
    log = join_items(told(row(1)), "clicked", window_ms=DAY_MS, chances=terms).log
    assert explore(log, 1.0).table[0].tolist() == pytest.approx([0.75, 0.2, 0.05])


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_settings_that_explore_less_than_the_log_did_are_refused(share: float):
    """Exploring a fifth takes the best at least four times in five."""
    with pytest.raises(LogError, match="explore_share"):
        join_items(told(row(1)), "clicked", window_ms=DAY_MS, chances=chances(share))


def test_rounds_with_fewer_alternatives_have_fewer_actions():
    """Random chooses among those there are, and nobody can take the third of two."""
    two = (("a", 0.3, 0.75), ("b", 0.2, 0.25))
    log = join_items(told(row(1), row(2, a=two)), "clicked", window_ms=DAY_MS, chances=chances()).log
    assert random(log).table.tolist() == [[pytest.approx(1 / 3)] * 3, [0.5, 0.5, 0]]
    (third,) = judge(log, [always(log, "3")], replicates=20)["policies"]
    assert third["refused"][0].startswith("no support: 50.0%")


def test_a_log_that_lacks_what_would_weigh_most_is_refused_for_what_it_could_have_drawn():
    """The third is drawn once in a million: a log without it has even weights, and would be sure of a wrong answer."""
    among = (("a", 0.3, 0.5), ("b", 0.2, 0.5 - 1e-6), ("c", 0.1, 1e-6))
    found = told(*(row(n, "ab"[n % 2], a=among) for n in range(1000)))
    for n in range(0, 1000, 10):
        found.add(clicked(n))
    log = join_items(found, "clicked", window_ms=DAY_MS, chances=chances()).log
    both, evenly = judge(log, [explore(log, 0.5), random(log)], replicates=20)["policies"]
    assert both["refused"] == []
    assert "lacks the rounds that would weigh most" in evenly["refused"][0]
    assert evenly["support"]["effective_rounds"] < 1


def test_a_log_that_explores_tells_what_never_exploring_and_always_exploring_would_earn():
    """Clicks are half as probable for each rank further down, in a seeded shop of which a fifth is held back."""
    rng = np.random.Generator(np.random.PCG64(8))
    clicks = np.array([0.4, 0.2, 0.1])
    found = told()
    for n in range(6000):
        k = int(rng.choice(3, p=[0.75, 0.2, 0.05]))
        reason = "holdout" if rng.random() < 0.2 else "sent"
        found.decide(f"user-{n % 1500}", 0, row(n, AMONG[k][0], reason))
        found.times["browse", 0, n] = T0 + n * 1000
        if reason == "sent" and rng.random() < clicks[k]:
            found.add(clicked(n, n % 1500))
    found.last_ms = T0 + 30 * DAY_MS
    log = join_items(found, "clicked", window_ms=DAY_MS, chances=chances()).log
    judged = judge(log, [explore(log, 0), explore(log, 1), random(log)], replicates=200)["policies"]
    for one, truth in zip(judged, (0.32, 0.8 * clicks @ [0.5, 0.4, 0.1], 0.8 * clicks.mean()), strict=True):
        for name in ("ips", "snips", "dr"):
            each = one["estimates"][name]
            assert each["low"] < truth < each["high"], (one["policy"], name, each)
    assert judged[0]["estimates"]["dr"]["above"][1] > 0 > judged[2]["estimates"]["dr"]["above"][2]
