"""State directories as releases left them, and what is in them: ``python -m tests.state.golden_state FOLDER``.

``golden/format-N`` was written by a release whose directories had format N, by running this there. It is what a killed
process leaves: some rows in a file, the newer ones in the write-ahead log only, deletions in both.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from state import rocks
from tests.state.conftest import IDENTITY, TABLES

if TYPE_CHECKING:
    from state.store import TaskStore

GOLDEN: Final = Path(__file__).parent / "golden"
COMMITS: Final = 9
POSITIONS: Final = {"changelog-rows": 9 * 40, "changelog-counts": 9 * 20}
FRESH_MS: Final = 1_700_000_000_000 + COMMITS


def rows() -> list[tuple[str, bytes, bytes]]:
    """What every golden directory holds, by table, then key."""
    counts = [("counts", key.to_bytes(8, "big"), b"\x01\x92" + bytes((COMMITS, key))) for key in range(20)]
    texts = [("rows", b"k%03d" % key, b"%d:%d " % (COMMITS, key) * 30) for key in range(40) if key % 9]
    return [*counts, *texts, ("rows-2", b"\0\xff", b"once")]


def write(path: Path) -> TaskStore:
    """The commits that come to it. Given open, as a killed process has it."""
    store = rocks.open_store(path, TABLES, IDENTITY)
    store.table("rows-2").put(b"\0\xff", b"once")
    for commit in range(1, COMMITS + 1):
        if commit == COMMITS // 2:
            store.close()
            store = rocks.open_store(path, TABLES, IDENTITY)
        for key in range(40):
            store.table("rows").put(f"k{key:03}", b"%d:%d " % (commit, key) * 30)
        for key in range(0, 40, 9):
            store.table("rows").delete(f"k{key:03}")
        for key in range(20):
            store.table("counts").put(key, [commit, key])
        store.take_changes()
        positions = {"changelog-rows": commit * 40, "changelog-counts": commit * 20}
        store.committed(positions, fresh_ms=1_700_000_000_000 + commit, meta={"note": b"%d" % commit})
    return store


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        store = write(Path(scratch) / "task")
        # RocksDB's own log is of no use and would be most of it; its lock is empty.
        shutil.copytree(Path(scratch) / "task", sys.argv[1], ignore=shutil.ignore_patterns("LOG*", "LOCK"))
        store.close()
