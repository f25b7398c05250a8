"""A wall clock that jumps while a worker runs changes nothing in how old its state is taken to be."""

from __future__ import annotations

import time

import pytest
from aiokafka import TopicPartition

from agents.clock import steady_ms
from agents.recovery import STALE_MS, ChangelogTruncatedError, _drop_what_cannot_be_completed
from agents.roles.user import UserRole
from state.memory import open_store
from state.store import TaskIdentity, TaskStore

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CHANGELOG = TopicPartition("changelog-user-profile", 0)


def state_dated(fresh_ms: int) -> TaskStore:
    """A store that has followed its changelog to offset 10."""
    store = open_store(UserRole.tables, TaskIdentity("user", 0, 1))
    store.committed({CHANGELOG.topic: 10}, fresh_ms=fresh_ms)
    return store


def start(store: TaskStore, now_ms: int, *, begin: int = 0) -> None:
    """What a recovery does first."""
    _drop_what_cannot_be_completed(store, 0, now_ms, {CHANGELOG: begin}, {CHANGELOG: 20})


@pytest.mark.parametrize("jump_s", [-50_000, -7200, 7200, 50_000, 2_000_000])
def test_state_is_dated_the_same_whatever_the_wall_clock_did(monkeypatch: pytest.MonkeyPatch, jump_s: int):
    before, wall = steady_ms(), time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
    assert 0 <= steady_ms() - before < HOUR_MS


@pytest.mark.parametrize("jump_s", [-50_000, 50_000])
def test_state_is_kept_when_the_clock_jumped_under_the_worker_that_left_it(
    monkeypatch: pytest.MonkeyPatch, jump_s: int
):
    wall = time.time
    with monkeypatch.context() as jumped:
        jumped.setattr(time, "time", lambda: wall() + jump_s)
        store = state_dated(steady_ms())
    # It could not be rebuilt: the changelog begins at 5.
    start(store, steady_ms(), begin=5)
    assert store.positions() == {CHANGELOG.topic: 10}


def test_state_dated_far_ahead_is_rebuilt_as_its_age_is_not_known():
    now_ms = steady_ms()
    for ahead_ms, kept in ((STALE_MS // 2, True), (2 * DAY_MS, False)):
        store = state_dated(now_ms + ahead_ms)
        start(store, now_ms)
        assert bool(store.positions()) is kept


def test_state_that_is_too_old_is_refused_where_it_cannot_be_rebuilt():
    with pytest.raises(ChangelogTruncatedError):
        start(state_dated(steady_ms() - DAY_MS), steady_ms(), begin=5)
