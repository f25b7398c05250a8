"""What only a store on a real disk can get wrong: kills, locks between processes, damage."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from state import rocks
from state.errors import StateCorrupt, StateError, StateLocked
from state.segments import PREFIX
from state.settings import StateSettings
from state.store import TaskStore, set_aside
from state.table import after_prefix
from tests.state.conftest import IDENTITY, TABLES

ROOT = Path(__file__).parents[2]


def writer(mode: str, path: Path) -> subprocess.Popen[str]:
    """A process of its own at work on ``path``."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.state.writer", mode, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def open_store(path: Path) -> TaskStore:
    """As a worker would."""
    return rocks.open_store(path, TABLES, IDENTITY)


def test_a_killed_process_keeps_every_commit_whole(tmp_path: Path) -> None:
    """SIGKILL at any moment: rows and positions agree, nothing committed is lost, nothing uncommitted is there."""
    for lines in (1, 30, 7, 200):
        with writer("commit", tmp_path / "task") as process:
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(lines)]
            process.kill()
            # The last line may be torn off anywhere: only whole ones were told.
            told += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        assert whole_commit(tmp_path / "task") in (told[-1], told[-1] + 1)


def whole_commit(path: Path) -> int:
    """The position found there, after checking that every row says the same."""
    store = open_store(path)
    position = store.positions()["log"]
    assert store.fresh_ms() == position
    slots = [f"{slot}" for slot in range(40)]
    assert store.table("rows").get_many(slots) == [b"%d" % position] * 40
    slots_2 = [slot.encode() for slot in slots]
    assert store.table("rows-2").get_many(slots_2) == [b"%d" % position + bytes(300)] * 40
    store.close()
    return position


@pytest.mark.parametrize("how", ["cut", "overwrite"])
def test_a_torn_log_loses_whole_commits_from_its_end(tmp_path: Path, how: str) -> None:
    """As after a power cut: rows and positions go back together, so that the changelog's tail refills them."""
    with writer("commit-60", tmp_path / "task") as process:
        process.communicate()
    damage(tmp_path / "task", "*.log", how)
    assert 20 < whole_commit(tmp_path / "task") < 40


@pytest.mark.parametrize(("mode", "rows"), [("restore", 0), ("restore-commit", 101)])
def test_a_kill_after_a_restore_leaves_rows_and_position_agreeing(tmp_path: Path, mode: str, rows: int) -> None:
    """Restored rows bypass the log: a kill loses them with their position, a commit after them keeps both."""
    with writer(mode, tmp_path / "task") as process:
        process.wait()
    assert process.returncode == -9
    store = open_store(tmp_path / "task")
    assert store.positions() == ({"rows": rows} if rows else {})
    assert len(list(store.committed_rows())) == rows
    store.close()


def test_a_directory_another_process_holds_is_locked_until_it_lets_go(tmp_path: Path) -> None:
    """As when a task moves between two workers of one machine."""
    with writer("hold", tmp_path / "task") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StateLocked, match="held by another store: retry"):
            open_store(tmp_path / "task")
        process.communicate()
    open_store(tmp_path / "task").close()


def filled(path: Path) -> None:
    """A closed store with rows on disk."""
    store = open_store(path)
    store.table("rows").put_many([(f"{n:04}", b"%d" % n * 100) for n in range(2000)])
    store.take_changes()
    store.committed({"rows": 2000})
    store.close()


def damage(path: Path, pattern: str, how: str) -> None:
    """Cut a file in half, overwrite some of it, or remove it."""
    (file,) = path.glob(pattern)
    content = file.read_bytes()
    match how:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "overwrite":
            middle = len(content) // 2
            file.write_bytes(content[:middle] + b"damage" + content[middle + 6 :])
        case "remove":
            file.unlink()


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        ("CURRENT", "cut"),
        ("MANIFEST-*", "cut"),
        ("MANIFEST-*", "remove"),
        ("*.sst", "cut"),
        ("*.sst", "remove"),
        ("*.sst", "overwrite"),
    ],
)
def test_damage_is_reported_not_read_around(tmp_path: Path, pattern: str, how: str) -> None:
    """At the open, or by whichever read meets it; a scan must not just end early."""
    path = tmp_path / "task"
    filled(path)
    damage(path, pattern, how)
    with pytest.raises(StateCorrupt, match="set it aside and rebuild"):
        list(open_store(path).table("rows").scan())
    with pytest.raises((StateCorrupt, StateLocked)):
        open_store(path).table("rows").get_many([f"{n:04}" for n in range(2000)])


def test_a_directory_that_cannot_be_made_is_a_state_error(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "task").write_text("not a directory")
    for path in (tmp_path / "task", tmp_path / "task" / "below"):
        with pytest.raises(StateError):
            open_store(path)


def test_a_directory_set_aside_makes_room_for_a_rebuild(tmp_path: Path) -> None:
    """Nothing is deleted, also the second time."""
    path = tmp_path / "task"
    for number in (1, 2):
        filled(path)
        assert set_aside(path) == tmp_path / f"task.aside-{number}"
        store = open_store(path)
        assert (store.positions(), list(store.committed_rows())) == ({}, [])
        store.close()
    kept = open_store(tmp_path / "task.aside-1")
    assert kept.positions() == {"rows": 2000}
    kept.close()


def test_stores_of_a_process_share_one_block_cache(tmp_path: Path) -> None:
    """Memory does not grow with the number of tasks: reading both fills the one cache."""
    settings = StateSettings(hot_rows_bytes=0)
    cache = rocks.RocksMemory(settings)
    usage = [cache.block_cache.get_usage()]
    for task in ("task-1", "task-2"):
        filled(tmp_path / task)
        store = rocks.open_store(tmp_path / task, TABLES, IDENTITY, settings, cache)
        assert len(list(store.table("rows").scan())) == 2000
        usage.append(cache.block_cache.get_usage())
        store.close()
    assert usage == sorted(set(usage))


@pytest.mark.parametrize("compression", ["lz4", "none"])
def test_rows_outlive_a_change_of_settings(tmp_path: Path, compression: str) -> None:
    """Settings are about memory and speed, never about what can be read."""
    filled(tmp_path / "task")
    other = StateSettings(
        compression="none" if compression == "none" else "lz4",
        bloom_bits_per_key=0,
        background_jobs=1,
        hot_rows_bytes=0,
    )
    store = rocks.open_store(tmp_path / "task", TABLES, IDENTITY, other)
    assert len(list(store.table("rows").scan())) == 2000
    store.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"block_cache_bytes": 0},
        {"write_buffer_bytes": 1},
        {"write_buffers": 1},
        {"hot_rows_bytes": -1},
        {"bloom_bits_per_key": -1},
        {"max_open_files": 0},
        {"background_jobs": 0},
        {"compression": "zip"},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong: dict[str, int]) -> None:
    """At start, not at the first flush."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StateSettings(**wrong)  # type: ignore[arg-type] # what is tested


@pytest.mark.parametrize("how", ["commit", "restore"])
def test_memtables_stay_within_the_settings_and_segments_without_a_gap(tmp_path: Path, how: str) -> None:
    """The store changes its memtables itself, also while RocksDB is behind."""
    settings = StateSettings(write_buffer_bytes=1 << 16, hot_rows_bytes=0)
    store = rocks.open_store(tmp_path / "task", TABLES, IDENTITY, settings)
    backend = store._backend
    assert isinstance(backend, rocks.RocksBackend)
    largest = 0
    for n in range(1, 401):
        rows = [(f"{n}-{k}", bytes(200)) for k in range(20)]
        if how == "commit":
            store.table("rows").put_many(rows)
            store.take_changes()
            store.committed({"rows": n})
        else:
            store.restore("rows", [(key.encode(), row) for key, row in rows], n)
        largest = max(largest, backend._number("rocksdb.cur-size-active-mem-table"))
    # Beyond the limit by the write that crosses it, at most.
    assert largest <= (rocks.MEMTABLE_ROOM + 1) * settings.write_buffer_bytes
    store.close()
    store = rocks.open_store(tmp_path / "task", TABLES, IDENTITY, settings)
    assert len(list(store.committed_rows())) == 400 * 20
    backend = store._backend
    assert isinstance(backend, rocks.RocksBackend)
    # 1.6 MB of rows in memtables of 64 KiB; fewer where RocksDB was behind.
    assert len(list(backend.scan(PREFIX, after_prefix(PREFIX)))) > 5
    store.close()
