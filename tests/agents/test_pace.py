"""When a task folds and commits: by what waits, what it took so far, and how long ago the last commit was."""

from __future__ import annotations

import math

import pytest

from agents.pace import (
    BACKLOG_BATCHES,
    BACKLOG_INTERVALS,
    GRACE_S,
    STAGING_ONE_IN,
    STALLED_INTERVALS,
    WHOLE_BATCHES,
    Pace,
)
from agents.settings import RuntimeSettings

SETTINGS = RuntimeSettings(max_batch_events=512, target_batch_ms=20, commit_bytes=1 << 20)
INTERVAL_S = 0.1


def paced(*, staged_at: float = 100.0, turn: int = 0, fetched_at: float = math.inf) -> Pace:
    """A task whose batches are a millisecond of work an event, and whose last commit was staged at once."""
    pace = Pace(SETTINGS, INTERVAL_S, turn)
    pace.fetched(fetched_at)
    for _ in range(50):
        pace.took(10, 0.030, 0.010)
    pace.staged(staged_at, 0.0)
    return pace


def test_a_batch_is_as_long_as_its_time_allows_and_never_longer_than_its_count() -> None:
    assert paced().batch(waiting=50) == 20
    assert paced().batch(waiting=25) == 20 * WHOLE_BATCHES
    fast = Pace(SETTINGS, INTERVAL_S)
    for _ in range(50):
        fast.took(100, 0.0001, 0.0001)
    assert fast.batch(waiting=0) == fast.batch(waiting=10**6) == 512


def test_behind_a_backlog_batches_are_longer() -> None:
    assert paced().batch(waiting=BACKLOG_INTERVALS * 20) == BACKLOG_BATCHES * 20


def test_a_lone_event_after_an_idle_while_is_folded_at_once_and_one_soon_after_a_commit_waits_for_the_next() -> None:
    pace = paced()
    assert pace.folds(105.0, 1, committing=False)
    assert not pace.folds(100.05, 1, committing=False)
    assert not pace.folds(105.0, 1, committing=True)
    assert pace.folds(100.05, 20, committing=True)


def test_a_commit_waits_for_its_interval_longer_behind_a_backlog_and_longest_for_the_transaction_under_way() -> None:
    pace = paced()
    assert not pace.commits(100.09, 0, 0, committing=False)
    assert pace.commits(100.11, 0, 0, committing=False)
    assert not pace.commits(100.11, 20, 0, committing=False)
    assert pace.commits(100.11 + BACKLOG_INTERVALS * INTERVAL_S, 20, 0, committing=False)
    assert not pace.commits(100.11 + BACKLOG_INTERVALS * INTERVAL_S, 20, 0, committing=True)
    assert pace.commits(100.11 + STALLED_INTERVALS * INTERVAL_S, 20, 0, committing=True)


def test_so_many_bytes_are_committed_whatever_the_interval() -> None:
    assert paced().commits(100.0, 0, 1 << 20, committing=True)


def test_an_interval_whose_staging_took_long_is_followed_by_a_longer_one() -> None:
    pace = paced()
    pace.staged(201.0, 1.0)
    assert pace.due_in(201.0) == STAGING_ONE_IN
    assert pace.due_in(201.0 + STAGING_ONE_IN) is None


def test_a_commit_that_is_due_waits_for_the_consumer_to_look_once_more_but_not_for_long() -> None:
    pace = paced(fetched_at=100.02)
    assert pace.looks_in(100.04) == pytest.approx(0.06)
    assert not pace.commits(100.11, 0, 0, committing=False)
    assert not pace.folds(100.11, 1, committing=False)
    assert pace.commits(100.101 + GRACE_S, 0, 0, committing=False)
    pace.fetched(100.105)
    assert pace.commits(100.11, 0, 0, committing=False)
    assert pace.folds(100.11, 1, committing=False)


def test_an_interval_is_counted_from_when_the_last_commit_was_due_so_that_folding_for_it_makes_none_longer() -> None:
    pace = paced()
    for commits in range(1, 100):
        due_at = 100.0 + INTERVAL_S * commits
        assert pace.due_in(due_at - 0.01) == pytest.approx(0.01)
        pace.staged(due_at + 0.03, 0.001)


def test_however_late_a_commit_was_half_an_interval_lies_before_the_next() -> None:
    pace = paced()
    pace.staged(100.19, 0.001)
    assert pace.due_in(100.19) == pytest.approx(INTERVAL_S / 2)


def test_the_tasks_of_a_machine_commit_at_moments_that_lie_apart() -> None:
    def due_at(turn: int) -> float:
        pace, now = paced(turn=turn), 100.0
        for _ in range(3):
            now += pace.due_in(now) or 0.0
            pace.staged(now + 0.02, 0.001)
        return now

    for tasks in range(2, 33):
        dues = sorted(due_at(turn) % INTERVAL_S for turn in range(tasks))
        gaps = [after - before for before, after in zip(dues, [*dues[1:], dues[0] + INTERVAL_S], strict=True)]
        assert min(gaps) > INTERVAL_S / tasks / 3, tasks


def test_what_a_batch_left_because_of_its_size_is_folded_before_the_commit_that_is_due() -> None:
    pace = paced()
    assert not pace.commits(100.11, 12, 0, committing=False, cut_short=True)
    assert pace.commits(100.11, 12, 0, committing=False)
    assert pace.commits(100.11 + INTERVAL_S, 12, 0, committing=False, cut_short=True)
