"""The in-memory twin of a RocksDB store, for tests and for runs without a disk."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from state.errors import StateError, StateLocked
from state.store import TaskIdentity, TaskStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from state.table import TableSpec


@dataclass
class MemoryDisk:
    """What outlives a store: pass the same one to reopen it."""

    rows: dict[bytes, bytes] = field(default_factory=dict)
    locked: bool = False


class MemoryBackend:
    """Rows in a dict."""

    def __init__(self, disk: MemoryDisk) -> None:
        if disk.locked:
            raise StateLocked("another store holds this disk: retry for a while")
        disk.locked = True
        self._disk: MemoryDisk | None = disk

    def read(self, keys: list[bytes]) -> list[bytes | None]:
        """Rows under physical keys."""
        return [self._open.rows.get(key) for key in keys]

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows with start ≤ key < end, ascending."""
        rows = self._open.rows
        keys = sorted(rows)
        for key in keys[bisect_left(keys, start) : bisect_left(keys, end)]:
            yield key, rows[key]

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], *, logged: bool) -> None:
        """Apply rows."""
        del logged  # memory has no log: closing is all that can happen to it
        disk = self._open.rows
        for key, row in list(rows):
            if row is None:
                disk.pop(key, None)
            else:
                disk[key] = row

    def replace(self, rows: Sequence[tuple[bytes, bytes]], end: bytes) -> None:
        """Start over with ``rows``."""
        disk = self._open
        disk.rows = {key: row for key, row in disk.rows.items() if key >= end} | dict(rows)

    def busy(self) -> bool:
        """Memory never is."""
        return False

    def size_bytes(self) -> int:
        """Bytes of keys and rows."""
        return sum(len(key) + len(row) for key, row in self._open.rows.items())

    def memory_bytes(self) -> dict[str, int]:
        """Rows are all there is, and they are the disk."""
        return {}

    def close(self) -> None:
        """Let go of the disk."""
        if self._disk is not None:
            self._disk.locked = False
            self._disk = None

    @property
    def _open(self) -> MemoryDisk:
        if self._disk is None:
            raise StateError("the store is closed")
        return self._disk


def open_store(
    tables: Sequence[TableSpec[Any]], identity: TaskIdentity, disk: MemoryDisk | None = None, *, hot_rows_bytes: int = 0
) -> TaskStore:
    """A store over ``disk``, or over a fresh one. Raises as ``rocks.open_store`` does."""
    backend = MemoryBackend(disk if disk is not None else MemoryDisk())
    try:
        return TaskStore(backend, tables, identity, hot_rows_bytes)
    except BaseException:
        backend.close()
        raise
