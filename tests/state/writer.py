"""A process that writes a store until it is killed: ``python -m tests.state.writer MODE DIRECTORY``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from state import rocks
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
        case "hold":
            hold(directory)
