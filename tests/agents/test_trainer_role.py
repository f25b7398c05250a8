"""The trainer role across restarts of its process."""

from __future__ import annotations

import numpy as np

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.roles.trainer import TrainerRole
from state.memory import MemoryDisk, open_store
from state.store import TaskIdentity
from streamer.core.models.example import build_example
from streamer.core.models.registry import FEATURE_NAMES, FEATURES_ID
from streamer.core.record import Record
from streamer.core.settings import CoreSettings


def records(count: int, first: int = 0):
    """Lists in which the item of the largest first feature is taken up."""
    found = []
    for number in range(first, first + count):
        x = np.random.default_rng(number).uniform(0, 1, (len(FEATURE_NAMES), 20))
        labels = x[0] == x[0].max()
        example = build_example(
            x, labels, np.full(20, 0.1), number, time_ms=0, features_id=FEATURES_ID, model_version=0
        )
        assert example is not None
        found.append(Record("examples", 0, number, 0, b"0", example.encode()))
    return found


def opened(disk: MemoryDisk):
    """The role's work on a task whose committed rows are on ``disk``."""
    role = TrainerRole(CoreSettings(), commit_interval_s=1.0)
    store = open_store(role.tables, TaskIdentity("trainer", 0, 1), disk)
    context = TaskContext(0, 1, store, Outbox(), TaskRow({}), lambda name: name, Metrics(role="trainer"), None)
    return context, role.open(context)


def committed(context, work):
    """Commit as a task does; what is published of the champion. (The challenger may fall back to its last snapshot.)"""
    work.before_commit()
    context.store.take_changes()
    context.store.committed({})
    return {key: value for _, rows in context.outbox.take() for key, value, *_ in rows if b"champion" in key}


def test_a_restarted_trainer_goes_on_where_the_last_commit_left_it():
    disk = MemoryDisk()
    context, work = opened(disk)
    work.process(records(30))
    committed(context, work)
    context.store.close()
    context, work = opened(disk)
    work.process(records(30, first=30))
    after_restart = committed(context, work)

    context, work = opened(MemoryDisk())
    work.process(records(30))
    committed(context, work)
    work.process(records(30, first=30))
    without = committed(context, work)

    assert any(key.startswith(b"champion/") for key in without)
    assert after_restart == without
