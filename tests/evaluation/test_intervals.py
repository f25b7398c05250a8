"""Intervals and paired comparison."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

from streamer.evaluation.bootstrap import Draws
from streamer.evaluation.judge import Asked
from streamer.evaluation.outcomes import NotTheSameLists, compare, keep


def asked_of(users, sizes=None):
    asked = Asked()
    for at, user in enumerate(users):
        asked.add(user, [True] * (sizes[at] if sizes else 1))
    return asked


def test_an_interval_of_independent_targets_is_that_of_the_normal_law():
    random = np.random.default_rng(1)
    hits = (random.random(4000) < 0.3).astype(int)
    draws = Draws(asked_of(range(4000)), {"a": array("B", hits.tolist())}, 1000)
    low, high = draws.interval("a")["hr@20"]
    half = 1.96 * np.sqrt(hits.mean() * (1 - hits.mean()) / 4000)
    assert (low, high) == pytest.approx((hits.mean() - half, hits.mean() + half), abs=0.003)


def test_users_are_drawn_whole():
    """Forty users of a hundred equal targets each tell no more than forty targets."""
    random = np.random.default_rng(2)
    each = (random.random(40) < 0.5).astype(int)
    users = np.repeat(np.arange(40), 100)
    draws = Draws(asked_of(users.tolist()), {"a": array("B", each[users].tolist())}, 1000)
    low, high = draws.interval("a")["hr@20"]
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(each.mean() * (1 - each.mean()) / 40), rel=0.2)


def test_a_paired_difference_is_surer_than_its_parts():
    """The second ranking misses one in fifty of the first one's hits."""
    random = np.random.default_rng(3)
    one = (random.random(2000) < 0.4).astype(int)
    two = one * (random.random(2000) > 0.02)
    draws = Draws(asked_of(range(2000)), {"one": array("B", one.tolist()), "two": array("B", two.tolist())}, 500)
    by, low, high = draws.difference("one", "two")["hr@20"]
    assert by == pytest.approx(float((one - two).mean()), abs=1e-6)
    assert 0 < low <= by <= high
    alone = draws.interval("one")["hr@20"]
    assert (high - low) < 0.5 * (alone[1] - alone[0])


def test_kept_outcomes_compare_as_the_runs_themselves():
    asked = asked_of([5, 5, 6, 9], [2, 1, 3, 1])
    one, two = array("B", [1, 0, 3, 0, 0, 20, 2]), array("B", [2, 0, 0, 0, 1, 20, 2])
    kept, other = (keep("same", asked, {"streamer": places}) for places in (one, two))
    expected = Draws(asked, {"one": one, "two": two}, 50).difference("one", "two")
    assert compare(kept, other, "streamer", 50) == expected
    assert expected["hr@20"][0] == pytest.approx(0.0)
    with pytest.raises(NotTheSameLists):
        compare(kept, keep("other", asked, {"streamer": two}), "streamer", 50)
