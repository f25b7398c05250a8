"""How probable a push was, by the settings; and a log that these settings cannot have made is refused."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from streamer.core.encode import decision as encoded
from streamer.core.policy.experiments import Splits
from streamer.core.policy.groups import held_out
from streamer.core.settings import PolicySettings
from streamer.ope.chances import Chances
from streamer.ope.decisions import DAY_MS, HOUR_MS, UNTOLD, Decided, Told, join
from streamer.ope.judge import judge
from streamer.ope.log import LogError
from streamer.ope.policies import always, threshold
from tests.core import test_coupons as coupons
from tests.ope.test_decisions import T0, order, outcome, row, told

AMONG = (("item-1", 0.5, 0.25), ("item-8", 0.4, 0.75))
"""The first item of row 1 was drawn with a quarter."""


def chances(*, control: float = 0.0, version: str = "", **policy: Any) -> Chances:
    """Of a campaign without a coupon, ``next``, and one with, ``give``."""
    settings = PolicySettings(**({"least_worth": 0.0, "try_share": 0.1} | policy))
    return Chances(Splits(settings), {"next": control, "give": control}, {"give"}, version)


def joined(found: Told, of: Chances, reward: Any = "clicked"):
    return join(found, reward, window_ms=DAY_MS, chances=of)


def give(n: int, reason: str = "sent", **more: Any) -> tuple[str, str, int, Decided]:
    user, origin, time_ms, decided = row(n, reason, **more)
    return user, origin, time_ms, replace(decided, c="give")


def test_a_coupon_that_gains_nothing_is_tried_as_what_is_not_worth_it_is():
    """One that gains is sent; of those that do not a tenth, whether they were, were not or are held back."""
    rows = (
        give(1, w=2.0),
        give(2, w=-1.0, p=0.1),
        give(3, "no_gain", w=-1.0),
        give(4, "holdout", w=0.0, p=0.1),
        give(5, "no_gain", w=0.0),
    )
    log = joined(told(*rows), chances(least_worth=-9.0, holdout_share=0.5)).log
    assert log.propensities.tolist() == pytest.approx([0.5, 0.05, 0.95, 0.95, 0.95])


def test_what_a_coupon_gains_shows_in_the_propensity_where_pushes_are_compared_by_score():
    """The worth is the score then, and says nothing of it."""
    rows = (give(1), give(2, p=0.1), give(3, "no_gain"), row(4))
    log = joined(told(*rows), chances(worth_by="score")).log
    assert log.propensities.tolist() == pytest.approx([1.0, 0.1, 0.9, 1.0])


def test_whether_a_coupon_was_tried_is_not_told_by_a_propensity_that_may_be_its_item_s():
    """Rows that log alternatives tell the item's own; which rows do is no matter of what became of them."""
    kept = replace(give(1, p=0.025)[-1], a=AMONG)
    found = told(("ann", "browse:1", T0, kept), give(2, p=0.02), give(3, "no_gain"), row(4, p=0.3))
    made = joined(found, chances(worth_by="score", explore_share=0.5))
    assert made.left_out == {UNTOLD: 2}
    assert made.log.propensities.tolist() == pytest.approx([0.1, 1.0])


def test_a_coupon_whose_cost_nobody_knows_could_not_be_sent():
    """It was to be tried and was refused all the same, or would gain and was refused."""
    rows = (give(1, "no_gain", w=-1.0, p=0.1), give(2, "no_gain", w=3.0), give(3, w=3.0))
    log = joined(told(*rows), chances()).log
    assert log.offered is not None
    assert log.offered[:, 1].tolist() == [0, 0, 1]


def test_a_coupon_over_budget_counts_as_sent_and_earns_what_came_of_it():
    """It was drawn to be tried like any other, and what was not drawn is in the log; a shopper of the holdout would
    not have got it either.
    """
    of = chances(holdout_share=0.3)
    users = [f"user-{n}" for n in range(1, 40)]
    held = {user: held_out(user, 0.3, 1) for user in users}
    assert 0 < sum(held.values()) < len(users)
    found = told(*(give(n, "over_budget", w=-1.0, p=0.1) for n in range(1, 40)))
    log = joined(found, of).log
    assert log.actions.tolist() == [0 if held[user] else 1 for user in users]
    assert log.propensities.tolist() == pytest.approx([0.93 if held[user] else 0.07 for user in users])
    found.add(outcome("push_clicked", 1, HOUR_MS))
    found.add(order(2, HOUR_MS, "item-2"))
    assert joined(found, of).log.rewards.sum() == 0, "what was not sent was not clicked"
    assert joined(found, of, "bought").log.rewards.tolist()[:3] == [0, 1, 0]


@pytest.mark.parametrize("spent", [0.0, 0.6])
def test_tried_coupons_tell_what_coupons_would_earn_also_if_the_budget_is_often_spent(spent: float):
    """One in ten pushes is clicked. Most gain nothing, of which a tenth is tried, and for some the budget is spent. A
    log without what was not tried, or without what the budget refused of what was, would weigh the rest wrongly.
    """
    random = np.random.Generator(np.random.PCG64(2))
    found = told()
    for n in range(20_000):
        gains, room = random.random() < 0.1, random.random() >= spent
        tried = random.random() < 0.1
        reason = "no_gain" if not gains and not tried else "sent" if room else "over_budget"
        user, origin, time_ms, decided = give(
            n, reason, w=1.0 if gains else -1.0, p=0.1 if tried and not gains else 1.0
        )
        found.decide(user, 0, decided)
        found.times["browse", 0, int(origin.partition(":")[2])] = time_ms
        if reason == "sent" and random.random() < 0.1:
            found.add(outcome("push_clicked", n, HOUR_MS))
    log = joined(found, chances()).log
    assert len(log) == 20_000
    sent, worthy = judge(log, [always(log, "send"), threshold(log, 0.0, "worth")], replicates=100)["policies"]
    for one, truth in ((sent, 0.1 * (1 - spent)), (worthy, 0.01 * (1 - spent))):
        assert one["refused"] == one["doubts"] == []
        for name in ("ips", "snips", "dr"):
            each = one["estimates"][name]
            assert each["low"] < truth < each["high"], (one["policy"], name, each)


@pytest.mark.parametrize("worth_by", ["uplift", "score"])
def test_what_the_engine_tries_is_what_its_log_is_weighed_by(worth_by: Any):
    """Coupons that gain nothing: three tenths are tried, and all of them, sent or not, say so."""
    policy = changed(coupons.OPEN, try_share=0.3, worth_by=worth_by)
    made = coupons.shop(coupons.campaign(cost=8.0, budget=1e6), coupons.block(0.05, 0.10), policy=policy)
    made.run([coupons.cart(f"u{n}", coupons.START + n * 1000) for n in range(100)])
    rows = [(each.user, msgspec.json.decode(encoded(each), type=Decided)) for each in made.total.decisions]
    assert {row.r for _, row in rows} == {"sent", "no_gain"}
    of = Chances.of(made.settings)
    of.check(rows)
    assert {of.send(user, row) for user, row in rows} == {0.3}
    assert {row.p for _, row in rows if row.r == "sent"} == {0.3}


WRONG: dict[str, tuple[dict[str, Any], tuple[str, str, int, Decided], str]] = {
    "tried, and says it was not": ({}, row(1, w=-1.0), "says sent with propensity 1, where 0.1 is due"),
    "tried in another share": ({}, row(1, w=-1.0, p=0.5), "says sent with propensity 0.5, where 0.1 is due"),
    "not tried, and says it was": ({}, row(1, w=1.0, p=0.1), "says sent with propensity 0.1, where 1 is due"),
    "held back, tried in another share": (
        {"holdout_share": 0.2},
        row(1, "holdout", w=-1.0, p=0.5),
        "propensity 0.5, where 0.1",
    ),
    "refused with a share": ({}, row(1, "not_worth_it", w=-1.0, p=0.1), "not_worth_it with propensity 0.1, where 1"),
    "an item that was not drawn": ({}, row(1, p=0.5), "propensity 0.5, where 1 is due"),
    "its item times another share": (
        {"explore_share": 0.5},
        row(1, w=-1.0, p=0.05, a=AMONG),
        "0.2 times that of its item, where 0.1 is due",
    ),
    "more probable than it can be": ({"explore_share": 0.5}, row(1, w=-1.0, p=0.11), "has propensity 0.11, above 0.1"),
    "nothing is tried": ({"try_share": 0.0}, row(1, w=-1.0, p=0.1), "says sent, which could not be"),
    "all is tried": ({"try_share": 1.0}, row(1, "not_worth_it", w=-1.0), "says not_worth_it, which could not be"),
    "worth it": ({}, row(1, "not_worth_it", w=1.0), "says not_worth_it, which could not be"),
    "no holdout": ({}, row(1, "holdout"), "says holdout, which could not be"),
    "no control group": ({"holdout_share": 0.2}, row(1, "control"), "says control, which could not be"),
    "no coupon": ({}, row(1, "no_gain", w=-1.0), "says no_gain, which could not be"),
    "no budget": ({}, row(1, "over_budget"), "says over_budget, which could not be"),
    "a campaign that is off": ({}, (*row(1)[:3], replace(row(1)[-1], c="gone")), "is not among the campaigns"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_decision_that_the_settings_would_not_have_made_refuses_the_log(name: str):
    """All of them counted, and the first one named."""
    policy, wrong, words = WRONG[name]
    other = (wrong[0], "browse:9", T0, replace(wrong[-1], o="browse:9", d="other"))
    ordinary = row(7, "low_score") if "explore_share" in policy else row(7)
    with pytest.raises(
        LogError, match=f"2 of 3 decisions .* the first is c1 of campaign .*{words}.*: give the settings"
    ):
        joined(told(ordinary, wrong, other), chances(**policy))


def test_a_log_that_was_made_under_another_version_of_the_policy_says_what_is_not_checked():
    """Any setting changes the version, so it is no refusal; without a version of one's own there is nothing to tell."""
    found = told(row(1, v="aaa"), row(2, v="bbb"), row(3, v="bbb"), row(4, v="mine"))
    assert joined(found, chances()).notes == ()
    (note,) = joined(found, chances(version="mine")).notes
    assert note.startswith(
        "3 of 4 decisions have another policy version (bbb, aaa) than these settings make here (mine)"
    )
    assert "not checked" in note
    assert joined(told(row(1, v="mine")), chances(version="mine")).notes == ()


def test_the_version_is_the_one_that_the_engine_writes():
    """Of the same settings, campaigns and zone database, here none; of another one it is another."""
    made = coupons.shop(coupons.campaign()).run([coupons.cart("ann")])
    assert Chances.of(made.settings).version == ""
    assert Chances.of(made.settings, zones="").version == coupons.decided(made, "ann").policy_version
    assert Chances.of(made.settings, zones="2025b").version != Chances.of(made.settings, zones="").version
