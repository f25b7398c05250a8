"""The hash that draws groups, written down a second time, draws whom the engine draws."""

from __future__ import annotations

from typing import Final

from streamer.core.events import key64
from streamer.core.policy import experiments, groups
from streamer.core.sampling import TRIED, draw, share
from tests.governance import hashes
from tests.governance.rules import Experiment

USERS: Final = [f"user-{n}" for n in range(2_000)]
ARMS: Final = {"one": 0.2, "two": 0.3, "three": 0.5}


def test_the_same_shoppers_are_held_back():
    """By share and seed, and of each campaign others."""
    for part, seed in ((0.05, 1), (0.5, 1), (0.5, 2), (1.0, 1), (0.0, 1)):
        assert [groups.held_out(user, part, seed) for user in USERS] == [
            hashes.is_held_out(user, part, seed) for user in USERS
        ]
        for campaign in ("next", "cart-reminder"):
            assert [groups.controls(user, campaign, part, seed) for user in USERS] == [
                hashes.is_control(user, campaign, part, seed) for user in USERS
            ]


def test_the_same_shoppers_are_in_an_arm():
    """By the experiment's name and its salt; about as many as they should be."""
    for salt in ("", "autumn"):
        theirs = experiments.Experiment("colour", tuple(experiments.Arm(*arm) for arm in ARMS.items()), salt)
        drawn = [hashes.arm_of(user, Experiment("colour", ARMS, salt)) for user in USERS]
        assert [theirs.arm(user).name for user in USERS] == drawn
        assert all(abs(drawn.count(arm) / len(USERS) - part) < 0.05 for arm, part in ARMS.items())


def test_the_same_events_are_sampled_and_tried():
    """By the bits of their names."""
    for mark in map(hashes.named, USERS):
        assert hashes.is_sampled(mark, 0.3, 7) == (draw(mark, 15) < 0.3)
        assert hashes.is_tried(mark, "next", 0.3, 7) == (share(mark ^ key64("next"), TRIED + 7) < 0.3)
