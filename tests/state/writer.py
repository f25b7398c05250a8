"""A process that writes a store until it is killed: ``python -m tests.state.writer MODE DIRECTORY``."""

from __future__ import annotations

import os
import random
import signal
import sys
from functools import cache
from pathlib import Path

from state import rocks
from state.settings import StateSettings
from state.store import TaskStore
from tests.state.conftest import IDENTITY, TABLES


def tell(line: str) -> None:
    """Tell the test, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def commit_on(path: Path, last: int = 0) -> None:
    """Commit n: rows of two tables and the position say n. Tells n once ``committed`` returned.

    Is killed on the spot after ``last``, or goes on for ever.
    """
    store = rocks.open_store(path, TABLES, IDENTITY)
    n = store.positions().get("log", 0)
    while True:
        n += 1
        for slot in range(40):
            store.table("rows").put(f"{slot}", b"%d" % n)
            store.table("rows-2").put(b"%d" % slot, b"%d" % n + bytes(300))
        store.take_changes()
        # The next generation must not be on disk, whenever the kill comes.
        store.table("rows").put("0", b"%d" % (n + 1))
        store.committed({"log": n}, fresh_ms=n)
        tell(f"{n}")
        if n == last:
            os.kill(os.getpid(), signal.SIGKILL)


@cache
def history(commit: int) -> list[tuple[str, bytes | None]]:
    """What commit n puts and deletes: keys that come back, so that an older row in a newer one's place is seen."""
    rng = random.Random(commit)
    return [
        (f"k{rng.randrange(600)}", None if rng.random() < 0.15 else b"%d " % commit + rng.randbytes(150))
        for _ in range(20)
    ]


@cache
def after(position: int) -> list[tuple[str, bytes, bytes]]:
    """The rows of a store that holds the commits 1 to ``position`` of ``history``, and nothing else. Read-only."""
    rows: dict[str, bytes] = {}
    for commit in range(1, position + 1):
        for key, row in history(commit):
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
    return [("rows", key.encode(), row) for key, row in sorted(rows.items())]


class Behind(rocks.RocksBackend):
    """A store whose disk never keeps up, so that RocksDB itself has to change memtables."""

    def _congested(self) -> bool:
        return True


def commit_history(path: Path, commits: int, kind: type[rocks.RocksBackend]) -> None:
    """Commit it with small memtables, and be killed while one is being written to its file, if the disk is as slow."""
    settings = StateSettings(write_buffer_bytes=1 << 16)
    backend = kind(path, settings, rocks.RocksMemory(settings))
    store = TaskStore(backend, TABLES, IDENTITY, settings.hot_rows_bytes)
    commit = 0
    while commit < commits or not (rocks.RocksBackend._congested(backend) or commit > 2 * commits):
        commit += 1
        for key, row in history(commit):
            if row is None:
                store.table("rows").delete(key)
            else:
                store.table("rows").put(key, row)
        store.take_changes()
        store.committed({"log": commit})
    os.kill(os.getpid(), signal.SIGKILL)


def restore_and_die(path: Path, *, commit: bool) -> None:
    """Restore a hundred rows, perhaps commit one more, and be killed on the spot."""
    store = rocks.open_store(path, TABLES, IDENTITY)
    store.restore("rows", [(b"%d" % n, b"%d" % n) for n in range(100)], 100)
    if commit:
        store.table("rows").put("100", b"100")
        store.take_changes()
        store.committed({"rows": 101})
    os.kill(os.getpid(), signal.SIGKILL)


def hold(path: Path) -> None:
    """Hold the directory until standard input ends."""
    store = rocks.open_store(path, TABLES, IDENTITY)
    tell("held")
    sys.stdin.read()
    store.close()


if __name__ == "__main__":
    mode, directory = sys.argv[1], Path(sys.argv[2])
    match mode:
        case "commit":
            commit_on(directory)
        case "commit-60":
            commit_on(directory, 60)
        case "restore":
            restore_and_die(directory, commit=False)
        case "restore-commit":
            restore_and_die(directory, commit=True)
        case "history":
            commit_history(directory, 150, rocks.RocksBackend)
        case "history-behind":
            commit_history(directory, 400, Behind)
        case "hold":
            hold(directory)
