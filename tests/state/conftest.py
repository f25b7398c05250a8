"""Both back ends behind one way to open them, so that one suite holds them to one contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from state import memory, rocks
from state.codecs import RawCodec, StructCodec
from state.settings import StateSettings
from state.store import TaskIdentity, TaskStore
from state.table import TableSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

IDENTITY = TaskIdentity("user", 1, 4, "shop-")
TABLES: tuple[TableSpec[Any], ...] = (
    TableSpec("rows", RawCodec()),
    TableSpec("counts", StructCodec(list[int]), key="int"),
    TableSpec("rows-2", RawCodec(), key="bytes"),
)


class Disk:
    """A place that outlives its stores; ``open`` gives a store over it, and closes the one before."""

    def __init__(self, kind: str, path: Path, hot_rows_bytes: int = 4096) -> None:
        self._memory = memory.MemoryDisk() if kind == "memory" else None
        self._path = path
        self._settings = StateSettings(hot_rows_bytes=hot_rows_bytes, write_buffer_bytes=1 << 16)
        self._cache = rocks.RocksMemory(self._settings)
        self._store: TaskStore | None = None

    def open(self, identity: TaskIdentity = IDENTITY, tables: Sequence[TableSpec[Any]] = TABLES) -> TaskStore:
        """A store over what the stores before it committed."""
        self.close()
        self._store = self.open_another(identity, tables)
        return self._store

    def open_another(self, identity: TaskIdentity = IDENTITY, tables: Sequence[TableSpec[Any]] = TABLES) -> TaskStore:
        """A store, without closing the one before."""
        if self._memory is not None:
            return memory.open_store(tables, identity, self._memory, hot_rows_bytes=self._settings.hot_rows_bytes)
        return rocks.open_store(self._path, tables, identity, self._settings, self._cache)

    def close(self) -> None:
        """Close the store opened last."""
        if self._store is not None:
            self._store.close()
            self._store = None


def commit(store: TaskStore, **positions: int) -> None:
    """One whole transaction."""
    store.take_changes()
    store.committed(positions)


@pytest.fixture(params=["memory", "rocks"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """An empty disk of either back end."""
    disk = Disk(request.param, tmp_path / "task")
    yield disk
    disk.close()
