"""When a task folds and commits: by what waits, what it took so far, and how long ago the last commit was."""

from __future__ import annotations

from agents.pace import BACKLOG_BATCHES, BACKLOG_INTERVALS, STAGING_ONE_IN, STALLED_INTERVALS, Pace
from agents.settings import RuntimeSettings

SETTINGS = RuntimeSettings(max_batch_events=512, target_batch_ms=20, commit_bytes=1 << 20)
INTERVAL_S = 0.1


def paced(*, staged_at: float = 100.0) -> Pace:
    """A task whose batches take a millisecond an event, and whose last commit was staged at once."""
    pace = Pace(SETTINGS, INTERVAL_S)
    for _ in range(50):
        pace.took(10, 0.010)
    pace.staged(staged_at, staged_at)
    return pace


def test_a_batch_is_as_long_as_its_time_allows_and_never_longer_than_its_count() -> None:
    assert paced().batch(waiting=50) == 20
    fast = Pace(SETTINGS, INTERVAL_S)
    for _ in range(50):
        fast.took(100, 0.0001)
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
    pace.staged(200.0, 201.0)
    assert pace.due_in(201.0) == STAGING_ONE_IN
    assert pace.due_in(201.0 + STAGING_ONE_IN) is None
