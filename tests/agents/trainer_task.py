"""A task of the trainer role in memory, as its runtime opens and commits it."""

from __future__ import annotations

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.roles.trainer import TrainerRole
from state.memory import MemoryDisk, open_store
from state.store import TaskIdentity
from streamer.core.settings import CoreSettings


def opened(disk: MemoryDisk, core: CoreSettings | None = None):
    """The role's work on a task whose committed rows are on ``disk``."""
    role = TrainerRole(core or CoreSettings(), commit_interval_s=1.0)
    store = open_store(role.tables, TaskIdentity("trainer", 0, 1), disk)
    context = TaskContext(0, 1, store, Outbox(), TaskRow({}), lambda name: name, Metrics(role="trainer"), None)
    return context, role.open(context)


def committed(context, work) -> dict[str, bytes]:
    """Commit as a task does; what is published, by key."""
    work.before_commit()
    context.store.take_changes()
    context.store.committed({})
    return {key.decode(): value for _, rows in context.outbox.take() for key, value, *_ in rows}
