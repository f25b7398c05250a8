"""How a worker ends when something of it cannot be ended in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agents.app import App
from agents.metrics import Metrics
from agents.runtime import Runtime
from agents.settings import KafkaSettings, RuntimeSettings
from agents.topics import TopicSettings
from state.errors import StateCorrupt, StateError
from state.settings import StateSettings
from tests.agents.test_task import Listing, opened

if TYPE_CHECKING:
    from pathlib import Path

    from agents.task import Task


class Ended(Exception):  # noqa: N818 - it stands for the end of the process
    """The process has ended."""


def damaged(task: Task) -> None:
    """Have the task's tables refuse to close, as RocksDB does after a compaction that met a damaged file."""

    def close() -> None:
        raise StateCorrupt("block checksum mismatch")

    task.context.store.close = close  # type: ignore[method-assign]


@pytest.fixture
def app(tmp_path: Path) -> App:
    """A worker with two open tasks, of which one has damaged tables."""

    def fail(what: str, exc: BaseException) -> None:
        raise Ended(what) from exc

    runtime = Runtime(
        Listing(),
        kafka=KafkaSettings(),
        topics=TopicSettings(),
        runtime=RuntimeSettings(data_dir=tmp_path),
        state=StateSettings(),
        metrics=Metrics(role="listing"),
        fail=fail,
    )
    made = App(runtime, KafkaSettings())
    runtime.tasks = {n: opened(Listing(), {"browse": (0, 0), "purchase": (0, 0)}) for n in range(2)}
    damaged(runtime.tasks[0])
    return made


async def test_a_worker_whose_tables_cannot_be_closed_frees_its_other_tasks_leaves_and_ends(app: App) -> None:
    """Damage that is met at the stop ends the process like any other; it once kept it waiting until it was killed."""
    other = app.runtime.tasks[1].context.store
    left = asyncio.Event()

    async def leave() -> None:
        left.set()

    app.consumer.leave = leave
    with pytest.raises(Ended, match="stop"):
        await app.on_stop()
    assert left.is_set()
    with pytest.raises(StateError, match="closed"):
        other.take_changes()
