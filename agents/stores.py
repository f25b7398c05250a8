"""Where the tasks' tables of one role lie on this host: one directory a task, and one a warm copy.

A damaged or foreign directory is set aside and begun anew: what belongs in it is in the changelogs.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

from state.errors import StateCorrupt, StateForeign, StateLocked
from state.rocks import RocksMemory, open_store
from state.store import TaskIdentity, set_aside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from state.settings import StateSettings
    from state.store import TaskStore
    from state.table import TableSpec

log = logging.getLogger(__name__)

LOCK_WAIT_S: Final = 15.0

#: Processes of one host that may each keep a copy of the same task; the design has one copy a task in all.
COPIES: Final = 8


class Stores:
    """Opens the stores of a role, all of them with one block cache."""

    def __init__(
        self, folder: Path, role: str, tables: Sequence[TableSpec[Any]], prefix: str, settings: StateSettings
    ) -> None:
        """``folder`` holds a directory for each task; ``role`` and ``prefix`` say whose they are."""
        self._folder, self._role, self._tables, self._prefix = folder, role, tables, prefix
        self._settings, self._memory = settings, RocksMemory(settings)

    def cache_bytes(self) -> int:
        """What the block cache holds now."""
        return self._memory.size_bytes()

    async def open(self, partition: int, partitions: int) -> TaskStore:
        """The store of a task to be worked on.

        Its earlier owner on this host closes in its own rebalance, at about the same time, and is waited for. Raises
        ``StateLocked`` if it does not within ``LOCK_WAIT_S``, and what ``rocks.open_store`` raises beyond repair.
        """
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                return self._open(self._path(partition), partition, partitions)
            except StateLocked:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    def open_copy(self, partition: int, partitions: int) -> tuple[TaskStore, Path]:
        """A store for a warm copy of a task that another process works on, and where it is."""
        for number in range(COPIES):
            path = self._path(partition).with_name(f"{partition}.copy-{number}")
            try:
                return self._open(path, partition, partitions), path
            except StateLocked:
                continue
        raise StateLocked(f"{COPIES} processes of this host keep copies of task {partition} of role {self._role}")

    async def promote(self, copy: Path, partition: int, partitions: int) -> TaskStore:
        """Make a copy, which must be closed, the task's own store, and open it.

        What the task left on this host before is no newer than its changelogs either, and makes way.
        """
        path = self._path(partition)
        if path.exists():
            # Opened first, so that nobody else has it: an owner that still lives is waited for.
            (await self.open(partition, partitions)).close()
            shutil.rmtree(path)
        copy.rename(path)  # noqa: ASYNC240 - one system call on a local disk, as is the opening that follows
        return await self.open(partition, partitions)

    def _path(self, partition: int) -> Path:
        return self._folder / str(partition)

    def _open(self, path: Path, partition: int, partitions: int) -> TaskStore:
        identity = TaskIdentity(self._role, partition, partitions, self._prefix)
        while True:
            try:
                return open_store(path, self._tables, identity, self._settings, self._memory)
            except (StateCorrupt, StateForeign) as exc:
                # What is damaged is told; the traceback would only show this loop.
                log.error("%s; set aside as %s and rebuilt from the changelog", exc, set_aside(path))  # noqa: TRY400
