"""Intervals do not show how they were computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from streamer.ope import intervals
from streamer.ope.estimators import slopes
from streamer.ope.log import Target
from tests.ope.test_coverage import rows_of
from tests.ope.truth import spending, world


@pytest.mark.parametrize("at_once", [1, 3, 64])
@pytest.mark.parametrize("kind", ["bootstrap", "percentile"])
def test_intervals_are_the_same_to_the_bit_however_many_draws_fit_in_memory(monkeypatch, at_once: int, kind):
    """One by one, by threes or all 64 at once."""
    log, target, _ = world(np.random.Generator(np.random.PCG64(3)), 300)
    rows = rows_of(log, target)

    def found() -> bytes:
        low_and_high = intervals.intervals(rows, log.users, kind, level=0.95, replicates=64, seed=5)
        return low_and_high.tobytes()

    before = found()
    monkeypatch.setattr(intervals, "_BYTES", at_once * 8 * 300)
    assert found() == before


def test_draws_are_those_of_one_user_after_another_and_take_no_more_room_than_they_may(monkeypatch):
    """The generator is asked draw by draw, so that the same seed gives the same users."""
    monkeypatch.setattr(intervals, "_BYTES", 10 * 8 * 40 + 7)
    drawn = list(intervals._draws(np.random.Generator(np.random.PCG64(1)), 40, 25))
    assert [len(times) for times in drawn] == [10, 10, 5]
    random = np.random.Generator(np.random.PCG64(1))
    expected = [np.bincount(random.integers(0, 40, 40), minlength=40) for _ in range(25)]
    assert np.array_equal(np.concatenate(drawn), expected)


def test_more_users_than_are_summed_at_once_are_all_summed(monkeypatch):
    """In parts of 7 of 60: the same but for the last bits."""
    log, target, _ = world(np.random.Generator(np.random.PCG64(3)), 60)
    rows = rows_of(log, target)
    how: dict[str, Any] = {"level": 0.95, "replicates": 40, "seed": 5}
    whole = intervals.intervals(rows, log.users, "bootstrap", **how)
    monkeypatch.setattr(intervals, "_USERS", 7)
    assert np.allclose(intervals.intervals(rows, log.users, "bootstrap", **how), whole, rtol=1e-9)


def test_the_standard_error_is_the_spread_of_what_each_user_moves_the_estimate_by():
    """By the slopes, user by user."""
    log, target, _ = world(np.random.Generator(np.random.PCG64(3)), 50)
    sums = intervals.by_user(rows_of(log, target), log.users)
    _, errors = intervals._estimates(sums, [np.ones((1, 50))])
    moved = sums @ slopes(sums.sum(axis=0)).T
    assert np.allclose(errors[0, 0], np.sqrt((moved**2).sum(axis=0) * 50 / 49))


def test_a_draw_s_sums_are_those_of_its_users_rounds_repeated():
    """What is summed by how often a user is drawn is what a log with that user so often would sum to."""
    log, target, _ = world(np.random.Generator(np.random.PCG64(3)), 30)
    rows = rows_of(log, target)
    sums = intervals.by_user(rows, log.users)
    times = np.bincount(np.random.Generator(np.random.PCG64(7)).integers(0, 30, 30), minlength=30)
    found, errors = intervals._estimates(sums, [times[None, :].astype(np.float64)])
    repeated = np.repeat(sums, times, axis=0)
    again, same_errors = intervals._estimates(repeated, [np.ones((1, len(repeated)))])
    assert np.allclose(found, again)
    assert np.allclose(errors, same_errors)


def test_draws_in_which_nobody_differs_from_the_log_say_nothing_of_how_far_it_is_above() -> None:
    """Two shoppers of five hundred are decided otherwise: a draw without them has a spread of rounding alone."""
    log, _, _ = spending(np.random.Generator(np.random.PCG64(3)), 500)
    table = np.full((len(log), 2), 0.5)
    table[log.users < 2] = 0.0, 1.0
    rows = rows_of(log, Target("nearly", table, np.arange(len(log))))
    found = intervals.intervals(rows, log.users, "bootstrap", level=0.95, replicates=400, seed=5)
    assert np.nanmax(np.abs(found)) < 1e3
