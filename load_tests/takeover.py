"""How long a task stands still when its worker is killed, stopped or started, and how long the tasks of others do.

Two user workers, each with a disk of its own, own 100,000 shoppers and fold a steady load, open loop. One of them is
killed and restarted in place by its supervisor, stopped, started again, killed for good (its tasks go on from warm
copies), and started once more: its disk then holds a checkpoint, and the changelogs the tail. When a task works is read
from the timestamps of its rows on ``journal``, one a commit. A task of the worker that was meddled with stands still
from that moment to its first commit after it; of a task that stayed the longest time between two commits counts. One
that moves works on until then: its first commit at its new owner is the one after its longest time without.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, Final

import msgspec

from load_tests.harness import Cluster, arguments, cluster, fixed_loop_s, machine, write
from load_tests.shop.load import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE
from streamer.demo import ROLES
from streamer.publish import publish
from streamer.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from streamer.core.events import Event

CALM_S: Final = 6.0
WITHIN_S: Final = 60.0
DATA_DIR: Final = "STREAMER_RUNTIME__DATA_DIR"
#: Place of the worker that is meddled with, and of the one that stays.
MEDDLED, STAYS = 0, 1


@dataclass
class Deed:
    """Something that was done to a worker at ``at_ms``.

    ``hit`` are the tasks it had then; ``stay`` those that the other had, before and after; ``move`` what it gave away.
    """

    name: str
    at_ms: float
    hit: list[int]
    stay: list[int]
    move: list[int] = field(default_factory=list)
    until_ms: float = 0.0
    exec_ms: float = 0.0
    #: Changelog rows read by the worker that was started.
    rows: int = 0
    figures: dict[str, float] = field(default_factory=dict)


def visits(users: int, events: int, seed: int) -> Iterator[Event]:
    """Each shopper once, then a load in which some come often."""
    load = shop(users + events, users=users, seed=seed)
    for number, event in enumerate(load):
        yield msgspec.structs.replace(event, user=f"user-{number}") if number < users else event


class Hosts(Supervisor):
    """Workers with disks of their own, as on as many machines."""

    def environment(self, place: int) -> dict[str, str]:
        """With a folder to each place."""
        usual = super().environment(place)
        return usual | {DATA_DIR: f"{usual[DATA_DIR]}/{self.children[place].name}"}


class Meddler:
    """Does the deeds, one after the other, while the load goes on."""

    def __init__(self, made: Cluster) -> None:
        self._made = made
        self._child = made.supervisor.children[MEDDLED]
        self.deeds: list[Deed] = []

    async def go_through(self) -> None:
        """All of them. Raises ``TimeoutError`` when tasks are not where they belong within ``WITHIN_S``."""
        share, everything = [2, 2], [0, 4]
        await self._until(share)
        await self._do("calm", lambda: None, share)
        await self._do("killed, restarted in place", lambda: self._signal(signal.SIGKILL), share, tended=True)
        await self._do("stopped for good", lambda: self._signal(signal.SIGTERM), everything)
        await self._do("started again", self._spawn, share)
        await self._do("killed for good", lambda: self._signal(signal.SIGKILL), everything)
        await self._do("started after a kill", self._spawn, share)

    async def _do(self, name: str, deed: Callable[[], None], owned: list[int], *, tended: bool = False) -> None:
        made = self._made
        done = Deed(name, time.time() * 1000, made.tasks(MEDDLED), made.tasks(STAYS))
        restarts = self._child.restarts
        deed()
        self.deeds.append(done)
        while tended and (self._child.restarts == restarts or self._child.process is None):
            made.supervisor.tend()
            await asyncio.sleep(0.02)
        if tended or deed == self._spawn:
            done.exec_ms = time.time() * 1000
        await self._until(owned)
        if done.exec_ms:
            done.rows = int((await asyncio.to_thread(made.metrics_of, MEDDLED))["streamer_recovery_rows_total"])
        after = set(made.tasks(STAYS))
        done.move = sorted(set(done.stay) - after)
        done.stay = sorted(set(done.stay) & after)
        await asyncio.sleep(CALM_S)
        done.until_ms = time.time() * 1000
        if min(owned):
            await self._copied()

    def _signal(self, number: signal.Signals) -> None:
        assert self._child.process is not None
        self._child.process.send_signal(number)

    def _spawn(self) -> None:
        self._made.supervisor.spawn(MEDDLED)

    async def _until(self, owned: list[int]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while await asyncio.to_thread(self._owned) != owned:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the workers own {self._owned()} tasks, and not {owned}")
            await asyncio.sleep(0.05)

    async def _copied(self) -> None:
        """Wait until there is a warm copy of every task."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            found = await asyncio.to_thread(self._made.metrics, "user")
            lag = sum(value for name, value in found.items() if name.startswith("streamer_standby_lag"))
            if found["streamer_standbys_kept"] == self._made.settings.topics.partitions and not lag:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"warm copies lack {lag} rows")
            await asyncio.sleep(0.1)

    def _owned(self) -> list[int]:
        return [len(self._made.tasks(place)) for place in (MEDDLED, STAYS)]


def judge(deeds: Sequence[Deed], commits: Mapping[int, Sequence[float]]) -> None:
    """Fill in each deed's figures, in seconds."""
    for deed in deeds:
        first = [min(at for at in commits[task] if at > deed.at_ms) for task in deed.hit]
        around = {
            task: [at for at in commits[task] if deed.at_ms - 1000 <= at <= deed.until_ms]
            for task in chain(deed.hit, deed.stay, deed.move)
        }
        longest = {task: max(b - a for a, b in pairwise(times)) for task, times in around.items()}
        told: dict[str, float] = {"pause_of_tasks_that_stay_s": max((longest[task] for task in deed.stay), default=0.0)}
        if deed.move:
            told["pause_of_tasks_that_move_s"] = max(longest[task] for task in deed.move)
        if deed.hit:
            told["pause_of_tasks_hit_s"] = max(longest[task] for task in deed.hit)
            told["first_commit_after_s"] = max(first) - deed.at_ms
        if deed.exec_ms and deed.hit:
            told["first_commit_after_exec_s"] = max(
                min(at for at in commits[task] if at > deed.exec_ms) - deed.exec_ms for task in deed.hit
            )
        if deed.exec_ms and deed.move:
            told["first_commit_after_exec_s"] = (
                max(max(pairwise(around[task]), key=lambda ab: ab[1] - ab[0])[1] for task in deed.move) - deed.exec_ms
            )
        deed.figures = {name: round(value / 1000, 3) for name, value in told.items()}
        if deed.exec_ms:
            deed.figures["rows_recovered"] = deed.rows


async def measure(made: Cluster, users: int, rate: float, seed: int) -> dict[str, Any]:
    """Fill the tables, then meddle while the load goes on."""
    prefix, load_s = made.settings.topics.prefix, 400.0
    events = list(visits(users, users + int(rate * load_s), seed))
    await publish(events[: 2 * users], made.client, prefix=prefix, rate=0)
    await made.drained()
    rows = sum(v for name, v in made.metrics("user").items() if name.startswith("streamer_rocksdb_bytes"))
    sending = asyncio.create_task(publish(events[2 * users :], made.client, prefix=prefix, rate=rate))
    await asyncio.sleep(CALM_S)
    meddler = Meddler(made)
    try:
        await meddler.go_through()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await made.drained()
    commits: dict[int, list[float]] = defaultdict(list)
    for record in await made.records("journal"):
        commits[record.partition].append(record.timestamp)
    judge(meddler.deeds, commits)
    sent: dict[bytes, int] = defaultdict(int)
    for record in await made.records("push-candidates"):
        sent[record.value.partition(b'"candidate_id":"')[2][:32]] += 1
    return {
        "users": users,
        "rate": rate,
        "tables_mb": round(rows / 2**20, 1),
        "deeds": {deed.name: deed.figures for deed in meddler.deeds},
        "candidates": sum(sent.values()),
        "candidates_sent_twice": sum(count - 1 for count in sent.values()),
    }


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--users", type=int, default=100_000, help="shoppers with a profile")
    parser.add_argument("--rate", type=float, default=500, help="events a second meanwhile")
    parser.add_argument("--session", type=int, default=10, help="runtime.session_timeout_s")
    given = parser.parse_args()
    overrides = [
        f"core.policy.rank_rate={RANK_RATE}",
        f"core.learning.learn_rate={LEARN_RATE}",
        f"runtime.session_timeout_s={given.session}",
        "runtime.standby_replicas=1",
        *given.set,
    ]
    with cluster(overrides, processes=2) as made:
        made.supervisor = Hosts(ROLES, 2, made.settings, quiet=True)
        made.start()
        figures = asyncio.run(measure(made, given.users, given.rate, given.seed))
    figures["settings"] = {"overrides": overrides, "seed": given.seed, "fixed_loop_s": fixed_loop_s(), **machine()}
    write(figures, given.json)


if __name__ == "__main__":
    main()
