"""Whatever happens to the files of a killed process: rows as of some commit, or refused and rebuilt; never others."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from state import rocks
from state.errors import StateCorrupt, StateError, StateLocked
from state.settings import StateSettings
from state.store import set_aside
from tests.state.conftest import IDENTITY, TABLES
from tests.state.writer import after

if TYPE_CHECKING:
    from collections.abc import Callable

    from state.store import TaskStore

ROOT = Path(__file__).parents[2]

Damage = tuple[str, int]
TRIED = 80


def open_store(path: Path) -> TaskStore:
    """As a worker would, with nothing cached that hides the disk."""
    return rocks.open_store(path, TABLES, IDENTITY, StateSettings(hot_rows_bytes=0, write_buffer_bytes=1 << 16))


def killed(path: Path, mode: str) -> Path:
    """What a process left that was killed in the middle of its work."""
    subprocess.run([sys.executable, "-m", "tests.state.writer", mode, str(path)], cwd=ROOT, check=False)
    return path


@pytest.fixture(scope="module", params=["history", "history-behind"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One such directory for all tests, with a memtable half written and so two logs: made until there is one.

    Its memtables were changed by the store, or by RocksDB as they grew too large.
    """
    for attempt in range(50):
        path = killed(tmp_path_factory.mktemp("killed") / f"task-{attempt}", request.param)
        if len([log for log in path.glob("*.log") if log.stat().st_size]) == 2:
            return path
    raise AssertionError("no process could be killed while it had two logs")


@pytest.fixture(scope="module")
def newest(left: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The last commit of that process."""
    store = open_store(Path(shutil.copytree(left, tmp_path_factory.mktemp("whole") / "task")))
    assert list(store.committed_rows()) == after(store.positions()["log"])
    newest = store.positions()["log"]
    store.close()
    return newest


def damaged(file: Path, damage: Damage) -> None:
    """Delete it, cut it, turn one bit, or overwrite some of it with zeros."""
    how, at = damage
    content = bytearray(file.read_bytes())
    match how:
        case "delete":
            file.unlink()
            return
        case "cut":
            del content[at:]
        case "flip":
            content[at // 8] ^= 1 << (at % 8)
        case "zero":
            content[at : at + 64] = bytes(len(content[at : at + 64]))
    file.write_bytes(content)


def outcome(path: Path) -> str:
    """What opening and reading everything comes to. Raises AssertionError at rows that never were together."""
    try:
        store = open_store(path)
    except StateCorrupt:
        return "refused at the open"
    try:
        position = store.positions().get("log", 0)
        assert list(store.committed_rows()) == after(position), "rows that never were together"
    except StateCorrupt:
        return "refused at a read"
    else:
        return f"the rows of commit {position}"
    finally:
        # What cannot be read may not be written either.
        with suppress(StateError):
            store.close()


def harm(rng: random.Random, size: int) -> list[Damage]:
    """Every kind of damage to a file of that size."""
    if not size:
        return [("delete", 0)]
    cuts = {0, 1, size // 2, max(0, size - 100), max(0, size - 20), max(0, size - 1), rng.randrange(size)}
    flips = [("flip", rng.randrange(size * 8)) for _ in range(12)]
    return [("delete", 0), *[("cut", cut) for cut in sorted(cuts)], *flips, ("zero", rng.randrange(size))]


@pytest.mark.slow
def test_every_damage_to_any_file_is_refused_or_harmless(left: Path, newest: int, tmp_path: Path) -> None:
    """One file at a time: gone, cut short, one bit turned, zeroed. RocksDB's own log, lock and options included."""
    rng = random.Random(3)
    seen: Counter[str] = Counter()
    all_harm = [(file, damage) for file in sorted(left.iterdir()) for damage in harm(rng, file.stat().st_size)]
    # Table files are many and alike; a seeded sample of all there is to try takes seconds instead of minutes.
    for file, damage in rng.sample(all_harm, min(TRIED, len(all_harm))):
        path = tmp_path / "task"
        shutil.copytree(left, path)
        damaged(path / file.name, damage)
        try:
            came = outcome(path)
        except AssertionError as error:
            raise AssertionError(f"{damage} of {file.name}: {error}") from error
        seen[came if came.startswith("refused") else "older" if not came.endswith(f" {newest}") else "newest"] += 1
        shutil.rmtree(path)
    # All four happen, or the damage would be of one kind only.
    assert set(seen) == {"refused at the open", "refused at a read", "older", "newest"}


@pytest.mark.parametrize("how", ["delete", "cut"])
def test_a_lost_log_with_a_newer_one_behind_it_is_noticed(how: str, left: Path, newest: int, tmp_path: Path) -> None:
    """RocksDB would put the newer log's rows on top of what came before the lost one.

    If the process was killed just after the older log's rows had reached a table file, nothing is lost with it.
    """
    path = tmp_path / "task"
    shutil.copytree(left, path)
    damaged(min(log for log in path.glob("*.log") if log.stat().st_size), (how, 0))
    try:
        store = open_store(path)
    except StateCorrupt as error:
        assert "missing from the middle" in str(error)  # noqa: PT017 - or else nothing is missing, as follows
    else:
        assert store.positions()["log"] == newest
        assert list(store.committed_rows()) == after(newest)
        store.close()


@pytest.mark.slow
def test_a_manifest_cut_anywhere_is_refused_or_harmless(left: Path, tmp_path: Path) -> None:
    """RocksDB takes a torn last record for one that was never finished, and forgets the files it names."""
    (manifest,) = left.glob("MANIFEST-*")
    size = manifest.stat().st_size
    seen = set()
    # Near its end every few bytes, and further up, where a loss is sure to be missed: how much of the end a killed
    # process leaves unneeded depends on what it was just doing.
    for cut in (*range(0, size, max(1, size // 20)), *range(max(0, size - 240), size, 4)):
        path = tmp_path / "task"
        shutil.copytree(left, path)
        damaged(path / manifest.name, ("cut", cut))
        seen.add(outcome(path))
        shutil.rmtree(path)
    assert "refused at the open" in seen


def rot(path: Path) -> None:
    """Zeros all over the rows of all but the smallest files, the store's own and the index left out: met by a read, not
    by the open. The largest alone will not do: newer files may hide all that it has.
    """
    sizes = {file: file.stat().st_size for file in path.glob("*.sst")}
    for file, size in sizes.items():
        if size >= min(max(sizes.values()), 20_000):
            for at in range(size // 3, size * 3 // 4, 1000):
                damaged(file, ("zero", at))


def read_all(store: TaskStore) -> None:
    """By multi-gets, as the engine reads."""
    store.table("rows").get_many([f"k{number}" for number in range(600)])


def scan_all(store: TaskStore) -> None:
    """As tools read."""
    list(store.committed_rows())


def overwrite(store: TaskStore) -> None:
    """Commits alone, until RocksDB merges the damaged file in the background and refuses to go on."""
    for commit in range(10_000):
        store.table("rows").put_many([(f"k{number}", b"%d" % commit * 100) for number in range(0, 600, 3)])
        store.take_changes()
        store.committed({"log": 1_000 + commit})


@pytest.mark.slow
@pytest.mark.parametrize("work", [read_all, scan_all, overwrite])
def test_damage_met_in_the_middle_of_work_condemns_the_directory(
    work: Callable[[TaskStore], None], left: Path, tmp_path: Path
) -> None:
    """The process ends; the next one must not open the same files, read elsewhere, and end again, and again."""
    path = tmp_path / "task"
    shutil.copytree(left, path)
    open_store(path).close()
    rot(path)
    store = open_store(path)
    with pytest.raises(StateCorrupt, match="set it aside and rebuild"):
        work(store)
    with pytest.raises(StateLocked):
        open_store(path)
    with suppress(StateError):
        store.close()
    with pytest.raises(StateCorrupt, match="condemned by an earlier process"):
        open_store(path)
    assert (set_aside(path) / rocks.CONDEMNED).read_text()
    rebuilt = open_store(path)
    assert (rebuilt.positions(), list(rebuilt.committed_rows())) == ({}, [])
    rebuilt.close()


def test_trouble_with_the_disk_alone_condemns_nothing(tmp_path: Path) -> None:
    """A directory that cannot be read for want of permission or space has nothing wrong with its rows."""
    path = tmp_path / "corruption" / "task"
    (tmp_path / "corruption").write_text("in the way, with a name that sounds like damage")
    with pytest.raises(StateError) as refusal:
        open_store(path)
    assert not isinstance(refusal.value, StateCorrupt)
