"""The faults there are. Each does its harm, undoes what must be undone, and says what it did; ``FAULTS`` lists them.

A fault returns once the harm is over; the round then waits for the roles it names to commit again. ``Injected.count``
is how many times something was killed, stopped, cut or damaged.
"""

from __future__ import annotations

import shutil
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults.checker import ROLES
from tests.faults.rig import READY_S, SESSION_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from agents.faults import Point
    from tests.faults.rig import Rig
    from tests.faults.workers import Worker

KILLED: Final = {-signal.SIGKILL, -signal.SIGALRM}
#: What a worker may end with when it finds itself fenced or without its disk: both are told by its supervisor.
FAILED: Final = {70, 78}
ALL: Final = tuple(ROLES)


@dataclass(frozen=True, slots=True)
class Injected:
    """What was done, how often, whom it hit, and when the harm was over (monotonic clock)."""

    what: str
    count: int
    roles: tuple[str, ...]
    over: float
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """``inject(rig, random)``; ``weight`` is how often it is drawn."""

    name: str
    inject: Callable[[Rig, Random], Injected]
    weight: int = 1


def _over(what: str, count: int, *roles: str, skipped: str = "") -> Injected:
    return Injected(what, count, roles, time.monotonic(), skipped)


def _worker(rig: Rig, role: str) -> Worker:
    return rig.workers.of(role)[0]


def _kill(rig: Rig, worker: Worker) -> None:
    """SIGKILL, and wait until it is gone. It is started again when ``wanted``, by the next ``tend()``."""
    worker.signal(signal.SIGKILL)
    ended = len(worker.exits)
    rig.until("killed", lambda: len(worker.exits) > ended or not worker.running, 30)


# -- processes ---------------------------------------------------------------------------------------------------


def kill(rig: Rig, random: Random) -> Injected:
    """SIGKILL at any moment."""
    worker = _worker(rig, random.choice(ALL))
    _kill(rig, worker)
    return _over(f"SIGKILL of {worker.name}", 1, worker.role)


def kill_all(rig: Rig, _: Random) -> Injected:
    """Every worker at once, as when a machine goes."""
    for worker in rig.workers.all:
        worker.signal(signal.SIGKILL)
    return _over("SIGKILL of all workers", len(rig.workers.all), *ALL)


POINTS: Final[dict[str, tuple[Point, ...]]] = {
    "user": (
        "after-state",
        "after-candidate-send",
        "after-changelog-send",
        "before-offsets",
        "after-offsets",
        "before-commit",
        "after-commit",
        "during-store-write",
        "after-store-write",
        "during-rebalance",
    ),
    "item": (
        "after-state",
        "after-changelog-send",
        "before-offsets",
        "after-offsets",
        "before-commit",
        "after-commit",
        "during-store-write",
        "during-rebalance",
    ),
    "trainer": ("after-changelog-send", "after-offsets", "before-commit", "after-commit", "during-store-write"),
}


def _at_point(rig: Rig, random: Random, role: str, points: int) -> Injected:
    """A worker that kills itself at one named point after another, each time it has come back."""
    worker, done = _worker(rig, role), []
    for _ in range(points):
        point = random.choice(POINTS[role])
        nth = 1 if point == "during-rebalance" else random.choice((1, 2, 5, 11))
        delay = random.choice((0.05, 0.3, 1, 3, 10))
        action = f"kill@{delay}" if point == "during-store-write" or random.random() < 0.2 else "kill"
        worker.fault = f"{point}:{nth}:{action}"
        done.append(worker.fault)
        if len(done) == 1:
            _kill(rig, worker)
        ended = len(worker.exits)
        rig.until(f"dead by {done[-1]}", lambda ended=ended: len(worker.exits) > ended, READY_S)  # type: ignore[misc]  # default argument
        if worker.exits[-1] not in KILLED:
            raise AssertionError(f"{worker.name} ended with {worker.exits[-1]} on its way to {done[-1]}")
    return _over(f"{worker.name} at {', '.join(done)}", points + 1, role)


def user_at_points(rig: Rig, random: Random) -> Injected:
    """Six points of the user role."""
    return _at_point(rig, random, "user", 6)


def item_at_points(rig: Rig, random: Random) -> Injected:
    """Three points of the item role."""
    return _at_point(rig, random, "item", 3)


def trainer_at_points(rig: Rig, random: Random) -> Injected:
    """Two points of the trainer."""
    return _at_point(rig, random, "trainer", 2)


def stop_alone(rig: Rig, random: Random) -> Injected:
    """SIGSTOP beyond the session timeout, with nobody to take over; then SIGCONT."""
    worker = _worker(rig, random.choice(ALL))
    worker.signal(signal.SIGSTOP)
    rig.run(SESSION_S + 2 + 4 * random.random())
    worker.signal(signal.SIGCONT)
    return _over(f"SIGSTOP of {worker.name} beyond its session", 1, worker.role)


def zombie(rig: Rig, random: Random) -> Injected:
    """One of two user workers stops within a transaction; the other takes its tasks; it wakes and must be fenced."""
    point = random.choice(("after-state", "after-candidate-send", "after-offsets", "before-commit", "after-commit"))
    other = rig.workers.add("user", 1, fault=f"{point}:{random.choice((3, 9, 20))}:stop")
    rig.until(f"stopped at {point}", lambda: _stopped(other), READY_S)
    since = time.monotonic()
    rig.recovered(("user",), since)
    other.wanted = False
    other.signal(signal.SIGCONT)
    rig.run(2)
    code = rig.workers.remove(other)
    if code not in FAILED | {0}:
        raise AssertionError(f"the zombie ended with {code}")
    return _over(f"zombie at {point}, ended with {code}", 1, "user")


def _stopped(worker: Worker) -> bool:
    if worker.process is None:
        return False
    with open(f"/proc/{worker.process.pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - not a file one keeps
        return stat.read().rpartition(")")[2].split()[0] == "T"


def scale(rig: Rig, random: Random) -> Injected:
    """User workers 1 → 3 → 1 under load; one leaves in order, one is killed, perhaps in the middle of a rebalance."""
    fault = random.choice(("", "during-rebalance:1", "after-revocation:2", "during-recovery:1"))
    first = rig.workers.add("user", 1, fault=fault)
    second = rig.workers.add("user", 2)
    rig.until("three workers ready", lambda: first.ready and second.ready, READY_S)
    rig.run(1 + random.random())
    code = rig.workers.remove(second)
    if code not in {0, 70}:
        raise AssertionError(f"a worker that was asked to leave ended with {code}")
    rig.workers.remove(first, how=signal.SIGKILL)
    return _over(
        f"1 → 3 → 1 user workers, {fault or 'no fault'} on the way, one left with {code}", 3 + bool(fault), "user"
    )


def rolling_restart(rig: Rig, _: Random) -> Injected:
    """Each worker in turn: SIGTERM, and back; its tasks with it."""
    for worker in rig.workers.all:
        code = rig.workers.end(worker)
        if code:
            raise AssertionError(f"{worker.name} was asked to stop and ended with {code}")
        worker.wanted = True
        rig.until(f"{worker.name} ready", lambda worker=worker: worker.ready, READY_S)  # type: ignore[misc]  # default argument
    return _over("rolling restart", len(rig.workers.all), *ALL)


# -- broker and network ------------------------------------------------------------------------------------------


def broker_restart(rig: Rig, random: Random) -> Injected:
    """The broker stops in order, stays away for a while, and comes back."""
    rig.site.broker.stop()
    rig.run(8 * random.random())
    rig.site.broker.start()
    return _over("broker stopped and started", 1, *ALL)


def broker_kill(rig: Rig, random: Random) -> Injected:
    """The broker is killed."""
    rig.site.broker.kill()
    rig.run(4 * random.random())
    rig.site.broker.start()
    return _over("broker killed and started", 1, *ALL)


def cut(rig: Rig, random: Random) -> Injected:
    """The network of one of two user workers is gone for longer than its session; then all it had said arrives."""
    other = rig.workers.add("user", 1, bootstrap=rig.site.proxied)
    rig.until("two workers ready", lambda: other.ready, READY_S)
    rig.run(1)
    since = time.monotonic()
    rig.site.proxy.cut()
    try:
        rig.recovered(("user",), since)
        rig.run(4 * random.random())
    finally:
        rig.site.proxy.heal()
    other.wanted = False
    rig.run(3)
    code = rig.workers.remove(other)
    return _over(f"network of {other.name} cut, it ended with {code}", 1, "user")


# -- disk --------------------------------------------------------------------------------------------------------


def _damaged(rig: Rig, random: Random, harm: Callable[[Path, Random], str]) -> Injected:
    """Kill a worker, harm the directory of one of its tasks, and let it come back."""
    worker = _worker(rig, random.choice(ALL))
    worker.wanted = False
    _kill(rig, worker)
    path = random.choice(rig.stores(worker))
    what = harm(path, random)
    worker.wanted = True
    return _over(f"{worker.name}/{path.name}: {what}", 2, worker.role)


def state_deleted(rig: Rig, random: Random) -> Injected:
    """A task's directory is gone; its recovery is killed once, too."""
    worker = _worker(rig, random.choice(("user", "item")))
    worker.wanted = False
    _kill(rig, worker)
    path = random.choice(rig.stores(worker))
    shutil.rmtree(path)
    worker.fault, worker.wanted, ended = "during-recovery:1:kill", True, len(worker.exits)
    rig.until("killed in recovery", lambda: len(worker.exits) > ended, READY_S)
    return _over(f"{worker.name}/{path.name} deleted, killed in recovery", 3, worker.role)


def file_deleted(rig: Rig, random: Random) -> Injected:
    """One file of RocksDB is gone."""

    def harm(path: Path, random: Random) -> str:
        file = random.choice(_files(path))
        file.unlink()
        return f"{file.name} deleted"

    return _damaged(rig, random, harm)


def file_truncated(rig: Rig, random: Random) -> Injected:
    """One file of RocksDB ends early."""

    def harm(path: Path, random: Random) -> str:
        file = random.choice(_files(path))
        size = random.randrange(file.stat().st_size)
        with file.open("r+b") as out:
            out.truncate(size)
        return f"{file.name} cut to {size} bytes"

    return _damaged(rig, random, harm)


def bits_flipped(rig: Rig, random: Random) -> Injected:
    """A few bits of one file are others."""

    def harm(path: Path, random: Random) -> str:
        file = random.choice(_files(path))
        content = bytearray(file.read_bytes())
        places = [random.randrange(len(content)) for _ in range(3)]
        for place in places:
            content[place] ^= 1 << random.randrange(8)
        file.write_bytes(content)
        return f"{file.name} flipped at {places}"

    return _damaged(rig, random, harm)


def _files(path: Path) -> list[Path]:
    """Those that hold data: tables, log, manifest and the pointer to it."""
    kinds = (".sst", ".log", "CURRENT")
    return [
        file
        for file in sorted(path.iterdir())
        if (file.name.endswith(kinds) or file.name.startswith("MANIFEST")) and file.stat().st_size
    ]


def disk_read_only(rig: Rig, random: Random) -> Injected:
    """The disk of the user worker comes back read-only, and later writable."""
    worker = _worker(rig, "user")
    worker.wanted = False
    _kill(rig, worker)
    if not rig.remount("ro"):
        worker.wanted = True
        return _over("", 0, "user", skipped="no disk can be mounted here")
    ended, worker.wanted = len(worker.exits), True
    try:
        rig.until("refused a read-only disk", lambda: len(worker.exits) > ended, READY_S)
        code = worker.exits[-1]
    finally:
        rig.remount("rw")
    if code not in FAILED:
        raise AssertionError(f"on a read-only disk {worker.name} ended with {code}")
    return _over(f"read-only disk, {worker.name} ended with {code}", 2, "user")


def disk_full(rig: Rig, _: Random) -> Injected:
    """The disk of the user worker fills up under it, and is freed once it gave up."""
    worker = _worker(rig, "user")
    if not rig.mounted:
        return _over("", 0, "user", skipped="no disk can be mounted here")
    ended, ballast = len(worker.exits), rig.disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(1 << 16))
            except OSError:
                pass
        rig.until("failed on a full disk", lambda: len(worker.exits) > ended, READY_S)
        code = worker.exits[-1]
    finally:
        ballast.unlink(missing_ok=True)
    return _over(f"full disk, {worker.name} ended with {code}", 1, "user")


# -- topics ------------------------------------------------------------------------------------------------------


def input_truncated(rig: Rig, random: Random) -> Injected:
    """What was committed is deleted from the input, and the worker killed: it must not miss it."""
    before = {
        (topic, p): random.randrange(offset) + 1
        for p in rig.follower.tasks("user")
        for topic, offset in rig.follower.applied("user", p).items()
        if offset > 1
    }
    rig.truncate(before)
    worker = _worker(rig, "user")
    _kill(rig, worker)
    return _over(f"{len(before)} inputs truncated below the committed offset, {worker.name} killed", 2, "user")


def changelog_truncated(rig: Rig, random: Random) -> Injected:
    """A changelog begins above its first record, below what the local state stands at: the state must be kept."""
    worker = _worker(rig, random.choice(("user", "item")))
    code = rig.workers.end(worker)
    if code:
        raise AssertionError(f"{worker.name} was asked to stop and ended with {code}")
    rig.follower.caught_up()
    table = ROLES[worker.role][1][0]
    before = {
        (f"changelog-{worker.role}-{table}", p): offset
        for p in rig.follower.tasks(worker.role)
        if (offset := rig.follower.last(f"changelog-{worker.role}-{table}", p)) > 1
    }
    rig.truncate({tp: max(1, offset - random.randrange(200)) for tp, offset in before.items()})
    worker.wanted = True
    return _over(f"changelogs of {table} truncated below the stored position", 1, worker.role)


POISON: Final = (b"", b"\x00", b"\xff\xfe not msgpack", b"\x93\x01\x02", b"{}", b"\xc1" * 40, bytes(range(256)))


def poison(rig: Rig, random: Random) -> Injected:
    """Bytes that nobody can read, in the topics that only the system itself writes to, and in the catalog."""
    rows: list[tuple[str, int, bytes | None, bytes | None]] = []
    for bad in random.sample(POISON, 4):
        item = random.randrange(rig.settings.topics.item_partitions)
        rows += [
            ("item-updates", item, b"0", bad),
            ("examples", 0, b"0", bad),
            (
                "item-index",
                item,
                random.choice((None, b"\xff\xfe", b"zz", f"{random.getrandbits(64):016x}".encode())),
                bad,
            ),
            ("model", 0, random.choice((None, b"\xff", b"champion/", b"champion/nobody", b"metrics/champion")), bad),
            ("catalog", 0, random.choice((None, b"\xff\xfe", b"item-1")), bad),
        ]
    rig.send(rows)
    worker = _worker(rig, random.choice(ALL))
    _kill(rig, worker)
    return _over(f"{len(rows)} unreadable records in internal topics, {worker.name} killed", len(rows) + 1, *ALL)


def giant(rig: Rig, _: Random) -> Injected:
    """A record over the limit."""
    rig.publisher.also(rig.load.giants())
    return _over("a record of 1.2 MB", 1, "user")


FAULTS: Final[tuple[Fault, ...]] = (
    Fault("kill", kill, 4),
    Fault("kill-all", kill_all, 2),
    Fault("user-at-points", user_at_points, 5),
    Fault("item-at-points", item_at_points, 2),
    Fault("trainer-at-points", trainer_at_points, 2),
    Fault("stop-alone", stop_alone, 1),
    Fault("zombie", zombie, 2),
    Fault("scale", scale, 2),
    Fault("rolling-restart", rolling_restart, 1),
    Fault("broker-restart", broker_restart, 2),
    Fault("broker-kill", broker_kill, 2),
    Fault("cut", cut, 2),
    Fault("state-deleted", state_deleted, 1),
    Fault("file-deleted", file_deleted, 2),
    Fault("file-truncated", file_truncated, 2),
    Fault("bits-flipped", bits_flipped, 2),
    Fault("disk-read-only", disk_read_only, 1),
    Fault("disk-full", disk_full, 1),
    Fault("input-truncated", input_truncated, 1),
    Fault("changelog-truncated", changelog_truncated, 1),
    Fault("poison", poison, 2),
    Fault("giant", giant, 1),
)
