"""Faults of the disk: files gone, cut short or flipped, a disk that is full or read-only."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.faults.fault import ALL, FAILED, Injected, first, over, sigkill
from tests.faults.rig import READY_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from tests.faults.rig import Rig


def damaged(rig: Rig, random: Random, harm: Callable[[Path, Random], str]) -> Injected:
    """Kill a worker, harm the directory of one of its tasks, and let it come back."""
    worker = first(rig, random.choice(ALL))
    worker.wanted = False
    sigkill(rig, worker)
    path = random.choice(rig.stores(worker))
    what = harm(path, random)
    worker.wanted = True
    return over(f"{worker.name}/{path.name}: {what}", 2, worker.role)


def state_deleted(rig: Rig, random: Random) -> Injected:
    """A task's directory is gone; its recovery is killed once, too."""
    worker = first(rig, random.choice(("user", "item")))
    worker.wanted = False
    sigkill(rig, worker)
    path = random.choice(rig.stores(worker))
    shutil.rmtree(path)
    worker.fault, worker.wanted, ended = "during-recovery:1:kill", True, len(worker.exits)
    rig.until("killed in recovery", lambda: len(worker.exits) > ended, READY_S)
    return over(f"{worker.name}/{path.name} deleted, killed in recovery", 3, worker.role)


def file_deleted(rig: Rig, random: Random) -> Injected:
    """One file of RocksDB is gone."""

    def harm(path: Path, random: Random) -> str:
        file = random.choice(_files(path))
        file.unlink()
        return f"{file.name} deleted"

    return damaged(rig, random, harm)


def file_truncated(rig: Rig, random: Random) -> Injected:
    """One file of RocksDB ends early."""

    def harm(path: Path, random: Random) -> str:
        file = random.choice(_files(path))
        size = random.randrange(file.stat().st_size)
        with file.open("r+b") as out:
            out.truncate(size)
        return f"{file.name} cut to {size} bytes"

    return damaged(rig, random, harm)


def bits_flipped(rig: Rig, random: Random) -> Injected:
    """A few bits of one file are others."""

    def harm(path: Path, random: Random) -> str:
        file = random.choice(_files(path))
        return _flip(file, [random.randrange(file.stat().st_size) for _ in range(3)])

    return damaged(rig, random, harm)


def table_bits_flipped(rig: Rig, random: Random) -> Injected:
    """A bit of every other block of a table file is another, past the first, which shows only when rows are read."""

    def harm(path: Path, random: Random) -> str:
        tables = [file for file in _files(path) if file.suffix == ".sst"]
        if not tables:
            return "no table file yet"
        file = max(tables, key=lambda file: file.stat().st_size)
        size = file.stat().st_size
        return _flip(file, list(range(9_000 + random.randrange(1_000), size - 6_000, 8_000)))

    worker = first(rig, "user")
    for _ in range(2):  # what was in the log is in a table file once the worker has come back
        worker.wanted = False
        sigkill(rig, worker)
        path = max(rig.stores(worker), key=lambda path: sum(file.stat().st_size for file in _files(path)))
        if any(file.suffix == ".sst" for file in _files(path)):
            break
        worker.wanted = True
        rig.until("ready", lambda: worker.ready, READY_S)
    what = harm(path, random)
    worker.wanted = True
    return over(f"{worker.name}/{path.name}: {what}", 2, "user")


def _flip(file: Path, places: list[int]) -> str:
    content = bytearray(file.read_bytes())
    for place in places:
        content[place] ^= 1
    file.write_bytes(content)
    return f"{file.name} ({len(content)} bytes) flipped at {places}"


def _files(path: Path) -> list[Path]:
    """Those that hold data: tables, log, manifest and the pointer to it."""
    kinds = (".sst", ".log", "CURRENT")
    return [
        file
        for file in sorted(path.iterdir())
        if (file.name.endswith(kinds) or file.name.startswith("MANIFEST")) and file.stat().st_size
    ]


def disk_read_only(rig: Rig, _: Random) -> Injected:
    """The disk of the user worker comes back read-only, and later writable."""
    worker = first(rig, "user")
    worker.wanted = False
    sigkill(rig, worker)
    if not rig.disk.read_only():
        worker.wanted = True
        return over("", 0, "user", skipped="no disk can be mounted here")
    ended, worker.wanted = len(worker.exits), True
    try:
        rig.until("refused a read-only disk", lambda: len(worker.exits) > ended, READY_S)
        code = worker.exits[-1]
    finally:
        rig.disk.writable()
    if code not in FAILED:
        raise AssertionError(f"on a read-only disk {worker.name} ended with {code}")
    return over(f"read-only disk, {worker.name} ended with {code}", 2, "user")


def disk_full(rig: Rig, _: Random) -> Injected:
    """The disk of the user worker fills up under it, and is freed once it gave up."""
    worker = first(rig, "user")
    if not rig.disk.real:
        return over("", 0, "user", skipped="no disk can be mounted here")
    ended = len(worker.exits)
    with rig.disk.full():
        rig.until("failed on a full disk", lambda: len(worker.exits) > ended, READY_S)
        code = worker.exits[-1]
    if code not in FAILED:
        raise AssertionError(f"on a full disk {worker.name} ended with {code}")
    return over(f"full disk, {worker.name} ended with {code}", 1, "user")
