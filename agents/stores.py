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
        """The store of a task to be worked on: a warm copy that nobody holds any more, if that has read further.

        The task's earlier owner on this host closes in its own rebalance, at about the same time, and is waited for.
        Raises ``StateLocked`` if it does not within ``LOCK_WAIT_S``, and what ``rocks.open_store`` does beyond repair.
        """
        self._adopt(partition, partitions)
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                return self._open(self._path(partition), partition, partitions)
            except StateLocked:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    def open_copy(self, partition: int, partitions: int) -> TaskStore:
        """A store for a warm copy of a task that another process works on."""
        for path in self._copies(partition):
            try:
                return self._open(path, partition, partitions)
            except StateLocked:
                continue
        raise StateLocked(f"{COPIES} processes of this host keep copies of task {partition} of role {self._role}")

    def _adopt(self, partition: int, partitions: int) -> None:
        """Have the newest copy that nobody holds be the task's own store, unless that is newer or somebody has it.

        It may be this process's, closed just now, or that of one before it: a worker that is started again may be given
        a task that it kept a copy of when it ended. What makes way is no newer than the changelogs either.
        """
        copies, path = [copy for copy in self._copies(partition) if copy.exists()], self._path(partition)
        if not copies:
            return
        newest, best = self._newness(path, partition, partitions), None
        for copy in copies:
            if newest is not None and (found := self._newness(copy, partition, partitions) or 0) > newest:
                newest, best = found, copy
        if best is None:
            return
        if path.exists():
            shutil.rmtree(path)
        best.rename(path)
        log.info("task %d goes on from its warm copy", partition)

    def _newness(self, path: Path, partition: int, partitions: int) -> int | None:
        """The changelog rows that a store here has read, 0 if there is none; ``None`` while somebody holds it."""
        if not path.exists():
            return 0
        try:
            store = self._open(path, partition, partitions)
        except StateLocked:
            return None
        read = sum(store.positions().values())
        store.close()
        return read

    def _path(self, partition: int) -> Path:
        return self._folder / str(partition)

    def _copies(self, partition: int) -> list[Path]:
        """Where copies of a task may be, whether or not they are."""
        return [self._path(partition).with_name(f"{partition}.copy-{number}") for number in range(COPIES)]

    def _open(self, path: Path, partition: int, partitions: int) -> TaskStore:
        identity = TaskIdentity(self._role, partition, partitions, self._prefix)
        while True:
            try:
                return open_store(path, self._tables, identity, self._settings, self._memory)
            except (StateCorrupt, StateForeign) as exc:
                # What is damaged is told; the traceback would only show this loop.
                log.error("%s; set aside as %s and rebuilt from the changelog", exc, set_aside(path))  # noqa: TRY400
