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


COMMITTING: Final[tuple[Point, ...]] = (
    "after-changelog-send",
    "after-offsets",
    "before-commit",
    "after-commit",
    "during-store-write",
)
FOLDING: Final[tuple[Point, ...]] = (*COMMITTING, "after-state", "before-offsets", "during-rebalance")
POINTS: Final[dict[str, tuple[Point, ...]]] = {
    "user": (*FOLDING, "after-candidate-send", "after-store-write"),
    "item": FOLDING,
    "trainer": COMMITTING,
}
#: What a worker's log says of each jump.
JUMPED: Final = "fault: clock@"
#: Seconds: within a record's five minutes of grace, beyond them, beyond 12 hours of staleness of local state.
JUMPS_S: Final = (90, 600, 3000, 7200, 50_000, -90, -600, -7200, -50_000)


def at_points(rig: Rig, random: Random, points: int, *roles: str) -> Injected:
    """Workers that kill themselves at one named point after another, each time they have come back; all at once."""
    plans = [(first(rig, role), [_drawn(random, role) for _ in range(points)]) for role in roles]
    begun = {worker.name: len(worker.exits) for worker, _ in plans}
    told = "; ".join(f"{worker.name} at {', '.join(faults)}" for worker, faults in plans)

    def dead() -> bool:
        """Whether all are through; arms the next fault of each that has died of its last, before it starts again."""
        through = True
        for worker, faults in plans:
            deaths = worker.exits[begun[worker.name] :]
            if set(deaths) - KILLED:
                raise AssertionError(f"{worker.name} ended with {deaths[-1]} on its way through {faults}")
            if len(deaths) <= points:
                through = False
                if worker.process is None:  # else its last exit may not be counted yet
                    worker.fault = faults[max(0, len(deaths) - 1)]
        return through

    for worker, faults in plans:
        worker.fault = faults[0]
        worker.signal(signal.SIGKILL)
    rig.until(f"dead by {told}", dead, READY_S + 10 * points)
    return over(told, (points + 1) * len(plans), *roles)


def _drawn(random: Random, role: str) -> str:
    point = random.choice(POINTS[role])
    nth = 1 if point == "during-rebalance" else random.choice((1, 2, 5, 11) if role == "user" else (1, 2, 4))
    delay = random.choice((0.05, 0.3, 1, 3, 10))
    action = f"kill@{delay}" if point == "during-store-write" or random.random() < 0.2 else "kill"
    return f"{point}:{nth}:{action}"


def user_at_points(rig: Rig, random: Random) -> Injected:
    """Six points of the user role."""
    return at_points(rig, random, 6, "user")


def item_at_points(rig: Rig, random: Random) -> Injected:
    """Three points of the item role."""
    return at_points(rig, random, 3, "item")


def trainer_at_points(rig: Rig, random: Random) -> Injected:
    """Two points of the trainer."""
    return at_points(rig, random, 2, "trainer")


def all_at_points(rig: Rig, random: Random) -> Injected:
    """Four points of all roles at the same time, so that one recovers while another dies."""
    return at_points(rig, random, 4, *ALL)


def clock(rig: Rig, random: Random) -> Injected:
    """The wall clock of a worker jumps up to three times while it runs, by minutes and hours; it keeps the last one.

    Should the broker refuse records stamped so far in its future, the worker may fail, and comes back with the right
    time.
    """
    worker = first(rig, random.choice(ALL))
    points = ("after-commit", "before-offsets" if worker.role != "trainer" else "after-offsets", "after-commit")
    jumped_s = [random.choice(JUMPS_S) for _ in points]
    while not sum(jumped_s) < 3000:  # a broker takes no record that is stamped an hour or more in its future
        jumped_s[-1] = random.choice(JUMPS_S)
        jumped_s[0] = min(jumped_s[0], 90)
    jumps = [f"{point}:{nth}:clock@{by}" for nth, (point, by) in enumerate(zip(points, jumped_s, strict=True), 1)]
    armed, before = ",".join(jumps), rig.said(worker, JUMPED)
    worker.fault = armed
    sigkill(rig, worker)
    killed = len(worker.exits)
    rig.until(
        f"jumped as in {armed}",
        lambda: len(worker.exits) > killed or rig.said(worker, JUMPED) >= before + len(jumps),
        READY_S,
    )
    ended = worker.exits[killed:]
    if set(ended) - FAILED:
        raise AssertionError(f"{worker.name} ended with {ended} when its clock jumped: {armed}")
    jumped = rig.said(worker, JUMPED) - before
    return over(f"{worker.name} jumped {jumped} times of {armed}, ended with {ended}", 1 + jumped, worker.role)


def producer_clock(rig: Rig, random: Random) -> Injected:
    """The clock of the producer jumps: the timestamps of its records do, by minutes and hours, and then back."""
    jump_s = random.choice([jump for jump in JUMPS_S if jump < 3600])
    rig.publisher.jump_ms = 1000 * jump_s
    rig.run(1.0)
    rig.publisher.jump_ms = 0
    return over(f"the producer's timestamps jumped by {jump_s} s, and back", 2, "user")


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
