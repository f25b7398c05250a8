"""Faults of worker processes: killed, stopped, multiplied, restarted."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

from tests.faults.fault import ALL, FAILED, KILLED, Injected, first, over, sigkill
from tests.faults.rig import READY_S, SESSION_S

if TYPE_CHECKING:
    from random import Random

    from agents.faults import Point
    from tests.faults.rig import Rig
    from tests.faults.workers import Worker


def kill(rig: Rig, random: Random) -> Injected:
    """SIGKILL at any moment."""
    worker = first(rig, random.choice(ALL))
    sigkill(rig, worker)
    return over(f"SIGKILL of {worker.name}", 1, worker.role)


def kill_all(rig: Rig, _: Random) -> Injected:
    """Every worker at once, as when a machine goes."""
    for worker in rig.workers.all:
        worker.signal(signal.SIGKILL)
    return over("SIGKILL of all workers", len(rig.workers.all), *ALL)


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


def at_points(rig: Rig, random: Random, role: str, points: int) -> Injected:
    """A worker that kills itself at one named point after another, each time it has come back."""
    worker, done = first(rig, role), []
    for _ in range(points):
        point = random.choice(POINTS[role])
        nth = 1 if point == "during-rebalance" else random.choice((1, 2, 5, 11) if role == "user" else (1, 2, 4))
        delay = random.choice((0.05, 0.3, 1, 3, 10))
        action = f"kill@{delay}" if point == "during-store-write" or random.random() < 0.2 else "kill"
        worker.fault = f"{point}:{nth}:{action}"
        done.append(worker.fault)
        if len(done) == 1:
            sigkill(rig, worker)
        ended = len(worker.exits)
        rig.until(f"dead by {done[-1]}", lambda ended=ended: len(worker.exits) > ended, READY_S)  # type: ignore[misc]  # default argument
        if worker.exits[-1] not in KILLED:
            raise AssertionError(f"{worker.name} ended with {worker.exits[-1]} on its way to {done[-1]}")
    return over(f"{worker.name} at {', '.join(done)}", points + 1, role)


def user_at_points(rig: Rig, random: Random) -> Injected:
    """Six points of the user role."""
    return at_points(rig, random, "user", 6)


def item_at_points(rig: Rig, random: Random) -> Injected:
    """Three points of the item role."""
    return at_points(rig, random, "item", 3)


def trainer_at_points(rig: Rig, random: Random) -> Injected:
    """Two points of the trainer."""
    return at_points(rig, random, "trainer", 2)


def stop_alone(rig: Rig, random: Random) -> Injected:
    """SIGSTOP beyond the session timeout, with nobody to take over; then SIGCONT."""
    worker = first(rig, random.choice(ALL))
    worker.signal(signal.SIGSTOP)
    rig.run(SESSION_S + 2 + 4 * random.random())
    worker.signal(signal.SIGCONT)
    return over(f"SIGSTOP of {worker.name} beyond its session", 1, worker.role)


def zombie(rig: Rig, random: Random) -> Injected:
    """One of two user workers stops within a transaction; the other takes its tasks; it wakes and must be fenced."""
    point = random.choice(("after-state", "after-candidate-send", "after-offsets", "before-commit", "after-commit"))
    other = rig.workers.add("user", 1, fault=f"{point}:{random.choice((3, 9, 20))}:stop")
    rig.until(f"stopped at {point}", lambda: stopped(other), READY_S)
    since = time.monotonic()
    rig.recovered(("user",), since)
    other.wanted = False
    other.signal(signal.SIGCONT)
    rig.run(2)
    code = rig.workers.remove(other)
    if code not in FAILED | {0}:
        raise AssertionError(f"the zombie ended with {code}")
    return over(f"zombie at {point}, ended with {code}", 1, "user")


def stopped(worker: Worker) -> bool:
    if worker.process is None:
        return False
    with open(f"/proc/{worker.process.pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 - not a file one keeps
        return stat.read().rpartition(")")[2].split()[0] == "T"


def impostor(rig: Rig, random: Random) -> Injected:
    """While a user worker stands still, another comes under its very name; then both are there."""
    worker = first(rig, "user")
    worker.signal(signal.SIGSTOP)
    other = rig.workers.add("user", 1, instance=worker.name)
    since = time.monotonic()
    rig.until("in its place", lambda: other.ready, READY_S)
    rig.recovered(("user",), since)
    worker.wanted, ended = False, len(worker.exits)
    worker.signal(signal.SIGCONT)
    rig.until("fenced", lambda: len(worker.exits) > ended, READY_S)
    if worker.exits[-1] not in FAILED:
        raise AssertionError(f"{worker.name} was replaced and ended with {worker.exits[-1]}")
    rig.run(random.random())
    rig.workers.remove(other)
    worker.wanted = True
    return over(f"{worker.name} replaced under its own name, it ended with {worker.exits[-1]}", 1, "user")


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
    return over(
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
    return over("rolling restart", len(rig.workers.all), *ALL)
