"""Rounds that are compared are of alike shoppers, or it is said that they are not."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.policy.experiments import Splits
from streamer.core.settings import PolicySettings
from streamer.ope.alike import uneven
from streamer.ope.chances import Chances
from streamer.ope.decisions import DAY_MS, Decided, Told, join
from streamer.ope.judge import judge
from streamer.ope.policies import always
from tests.ope.test_decisions import T0

if TYPE_CHECKING:
    from streamer.ope.log import Log

HELD = 0.3
PUSHES = Chances(Splits(PolicySettings(holdout_share=HELD)), {"next": 0.0})


def log_of(seed: int, *, tires: bool, users: int = 400) -> Log:
    """Pushes change nothing of what is bought. Half of the shoppers buy seldom; if a push ``tires``, those come to
    fewer decisions where they are pushed, and their decisions look different then. Three tenths are held back.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    found = Told(last_ms=T0 + 300 * DAY_MS)
    bought: list[bool] = []
    for user in range(users):
        held, seldom = random.random() < HELD, user % 2 == 0
        tired = tires and seldom and not held
        for _ in range(int(random.integers(6, 10) if tired else random.integers(20, 30))):
            n = len(bought)
            row = Decided(f"browse:{n}", "next", "holdout" if held else "sent", f"e{n}", f"c{n}", f=(float(tired),))
            found.decide(f"user-{user}", 0, row)
            found.times["browse", 0, n] = T0 + n * 1000
            bought.append(random.random() < (0.05 if seldom else 0.3))
    log = join(found, "bought", window_ms=DAY_MS, chances=PUSHES).log
    return dataclasses.replace(log, rewards=np.array(bought, np.float64))


def judged(log: Log, weigh: Any = "rounds") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = judge(log, [always(log, "send"), always(log, "hold")], weigh=weigh, replicates=100)[
        "policies"
    ]
    return found


def test_shoppers_who_come_to_fewer_decisions_where_they_are_pushed_are_told_of():
    """The comparison says that pushes sell, where they change nothing: who is left is who buys often."""
    found = judged(log_of(1, tires=True, users=160))
    for one in found:
        assert one["refused"] == []
        (doubt,) = [doubt for doubt in one["doubts"] if "not of alike shoppers" in doubt]
        assert "rounds a shopper pushed" in doubt
        assert "--weigh users" in doubt
    assert found[0]["estimates"]["snips"]["above"][1] > 0


def test_where_that_makes_weights_wrong_it_is_the_cause_that_a_refusal_names():
    """A longer log knows that its mean weight is no chance; it is not the settings that are to blame."""
    for one in judged(log_of(1, tires=True, users=3000)):
        (why,) = one["refused"]
        assert why.startswith("weights have a mean of")
        assert "not of alike shoppers" in why
        assert "settings" not in why


@pytest.mark.parametrize("seed", range(5))
def test_counting_each_shopper_once_finds_that_pushes_change_nothing(seed: int):
    """Shoppers of both groups are alike, whatever the number of their rounds and whatever these look like."""
    for one in judged(log_of(seed, tires=True), "users"):
        assert one["refused"] == one["doubts"] == []
        for name in ("ips", "snips", "dr"):
            _, low, high = one["estimates"][name]["above"]
            assert low < 0 < high, (one["policy"], name, low, high)


@pytest.mark.parametrize("seed", range(20))
def test_shoppers_who_do_not_react_have_alike_many_rounds(seed: int):
    """No doubt is made up."""
    assert log_of(seed, tires=False, users=60).uneven == ""


def test_weighed_by_users_an_estimate_is_the_mean_of_the_users_means():
    """One with three rounds and a reward, one with one: by hand."""
    log = dataclasses.replace(log_of(1, tires=False, users=40), uneven="")
    report = judge(log, [always(log, "send")], weigh="users", replicates=20)
    means = [log.rewards[log.users == user].mean() for user in range(40)]
    assert report["logged"]["value"] == pytest.approx(np.mean(means))
    pushed = [bool((log.actions[log.users == user] == 1).all()) for user in range(40)]
    (sent,) = report["policies"]
    assert sent["refused"] == []
    assert sent["support"]["mean_weight"] == pytest.approx(np.mean(pushed) / (1 - HELD))
    assert sent["estimates"]["snips"]["value"] == pytest.approx(np.mean(np.array(means)[pushed]))
    assert sent["estimates"]["ips"]["value"] == pytest.approx(np.sum(np.array(means)[pushed]) / (1 - HELD) / 40)


def test_campaigns_are_compared_each_with_itself():
    """A campaign that asks often and holds nobody back, beside one that asks seldom and holds half back."""
    users = np.repeat(np.arange(100), 11)
    of = np.array((["often"] * 10 + ["seldom"]) * 100)
    sides = np.where(of == "often", 0, users % 2)
    assert uneven(users, sides, ("pushed", "held back"), of) == ""
    assert uneven(users, sides, ("pushed", "held back")) == ""


def test_shoppers_of_whom_nothing_tells_the_side_are_left_out():
    """Who was never to be sent anything may have been of either group."""
    users = np.repeat(np.arange(90), 4)
    sides = np.where(users < 30, 0, np.where(users < 60, 1, -1))
    extra = np.repeat(np.arange(60, 90), 50)
    users, sides = np.concatenate([users, extra]), np.concatenate([sides, np.full(len(extra), -1)])
    assert uneven(users, sides, ("pushed", "held back")) == ""


def test_arms_whose_shoppers_come_to_other_numbers_of_decisions_are_told_of_and_refused_by_the_round():
    """Clicks are one in ten in both arms; of one arm there are twice as many rounds a shopper."""
    random = np.random.Generator(np.random.PCG64(7))
    found, n = Told(last_ms=T0 + 300 * DAY_MS), 0
    for user in range(1500):
        bold = random.random() < 0.5
        for _ in range(4 if bold else 2):
            n += 1
            arm = "bold" if bold else "now"
            found.decide(f"u{user}", 0, Decided(f"browse:{n}", "next", "sent", d=f"c{n}", x=(f"size:{arm}",)))
            found.times["browse", 0, n] = T0 + n
    log = join(found, "clicked", window_ms=DAY_MS, chances=PUSHES, experiment="size").log
    log = dataclasses.replace(log, rewards=(random.random(n) < 0.1).astype(np.float64))
    targets = [always(log, "bold"), always(log, "now")]
    for one in judge(log, targets, replicates=50)["policies"]:
        assert "4.0 rounds a shopper in arm bold, 2.0 rounds a shopper in arm now" in one["refused"][0]
    for one in judge(log, targets, weigh="users", replicates=50)["policies"]:
        assert one["refused"] == one["doubts"] == []
        assert one["estimates"]["ips"]["low"] < 0.1 < one["estimates"]["ips"]["high"]
