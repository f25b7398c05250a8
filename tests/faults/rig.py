"""A broker that may be killed, a system on it that may be hurt, and the evidence of what it did."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final, Self

from agents.clients import read_topic
from agents.topic_admin import create_topics
from agents.topics import TOPICS
from streamer.demo import free_ports
from streamer.settings import Settings, load
from tests.faults import slates
from tests.faults.campaigns import ON, declare
from tests.faults.checker import ROLES
from tests.faults.evidence import Evidence, read_store
from tests.faults.fault import FAILED
from tests.faults.follower import Follower
from tests.faults.load import Load
from tests.faults.meddle import group_offsets
from tests.faults.publisher import Publisher
from tests.faults.replayed import replayed
from tests.faults.site import Disk
from tests.faults.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.faults.site import Site
    from tests.faults.workers import Worker


READY_S: Final = 90.0
RECOVER_S: Final = 90.0
SESSION_S: Final = 6
SPAN_MS: Final = 8 * 3_600_000
#: Pushes of a task that are answered: some of them are so old that their windows are over.
NEWEST: Final = 20
UNREAD: Final = {"sessions"}


class NotWithinError(AssertionError):
    """Something that must happen by itself did not, within a bound."""


class Rig:
    """A system under a prefix of its own, under load."""

    def __init__(self, site: Site, prefix: str, seed: int, *, rate: float, seconds: float) -> None:
        self.site, self.prefix = site, prefix
        self.folder = site.folder / prefix
        self.folder.mkdir()
        self.disk = Disk(self.folder / "disk")
        self.settings = _settings(site, prefix)
        topics = self.settings.topics
        begun = int(time.time() * 1000)
        step = SPAN_MS / max(1.0, rate * seconds)
        self.load = Load(
            seed, from_ms=begun - 2 * SPAN_MS, step_ms=step, partitions=topics.partitions, pushed=self._pushed
        )
        self.follower = Follower(
            site.client, prefix, {spec.name: spec.partitions(topics) for spec in TOPICS if spec.name not in UNREAD}
        )
        self.publisher = Publisher(site.client, prefix, self.load, rate=rate, partitions=topics.partitions)
        self._random = Random(seed)
        self.unreplayable = ""
        self.workers = Workers(self.settings, self.folder, free_ports(8), seed)
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        asyncio.run(create_topics(self.settings.kafka.client_kwargs(), self.settings.topics))
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.follower)
            opening.callback(self.disk.close)
            opening.callback(self.workers.stop)
            for role in ROLES:
                self.workers.add(role, 0, data_dir=self.disk.path / "user-0" if role == "user" else None)
            self.until("ready", lambda: all(w.ready for w in self.workers.all), READY_S)
            opening.enter_context(self.publisher)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- time -------------------------------------------------------------------------------------------------

    def until(self, what: str, done: Callable[[], bool], timeout_s: float) -> float:
        """Tend the workers until ``done()``; the seconds it took. Raises ``NotWithinError``."""
        started = time.monotonic()
        while not done():
            if time.monotonic() - started > timeout_s:
                raise NotWithinError(f"not {what} within {timeout_s:.0f} s; {self.standing()}")
            self.follower.check()
            self.publisher.check()
            self.workers.tend()
            time.sleep(0.05)
        return time.monotonic() - started

    def run(self, seconds: float) -> None:
        """Let the load go on for a while: how long a fault lasts, not a wait for something."""
        ended = time.monotonic() + seconds
        while time.monotonic() < ended:
            self.workers.tend()
            time.sleep(0.05)

    def recovered(self, roles: Sequence[str], since: float) -> float:
        """Wait until every task of the roles has committed again; the seconds since ``since``."""
        self.until("recovered", lambda: all(self.follower.moved_on(role, since) for role in roles), RECOVER_S)
        return time.monotonic() - since

    def standing(self) -> str:
        """Who is behind, and how the workers ended, for a message."""
        behind = {
            f"{role}-{p}": backlog
            for role in ROLES
            for p in self.follower.tasks(role)
            if (backlog := self.follower.backlog(role, p))
        }
        exits = {worker.name: worker.exits[-5:] for worker in self.workers.all if worker.exits}
        return f"behind: {behind}; exit codes: {exits}; last words: {self.last_words()}"

    def last_words(self) -> dict[str, list[str]]:
        """The last errors of each worker's log, and what came there from outside the log, such as a traceback."""
        said = {}
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            loud = [line for line in lines if '"CRITICAL"' in line or '"ERROR"' in line or line[:1] != "{"]
            if loud:
                said[log.stem] = [line[:600] for line in loud[-4:]]
        return said

    def _pushed(self) -> list[tuple[str, str]]:
        """Shopper and candidate id of the newest pushes of each task."""
        found = []
        for records in self.follower.topics["push-candidates"].values():
            for rec in records[-NEWEST:]:
                found.append(((rec.key or b"").decode(), json.loads(rec.value or b"{}")["candidate_id"]))
        return found

    # -- the end ----------------------------------------------------------------------------------------------

    def drain(self, timeout_s: float = 120.0) -> float:
        """Stop the load and wait until all of it is processed by all roles; the seconds it took."""
        self.publisher.stop()
        return self.until("drained", self._drained, timeout_s)

    def _drained(self) -> bool:
        # User first: what it commits is the others' input; a second look for what came after the first.
        for _ in range(2):
            self.workers.tend()
            if not self.follower.caught_up():
                return False
            if any(self.follower.backlog(role, p) for role in ROLES for p in self.follower.tasks(role)):
                return False
        return True

    def finish(self, *, canonical: bool = False) -> Evidence:
        """Stop the workers, gather what they leave, and replay it unless ``unreplayable`` says why not.

        Raises ``NotWithinError`` if a worker does not stop in order.
        """
        codes = self._stopped()
        if any(codes.values()) and set(codes.values()) <= FAILED | {0} and "StateCorrupt" in str(self.last_words()):
            # A compaction may meet what a fault did to a file as late as now; whoever starts next rebuilds.
            self.workers.again()
            codes = self._stopped()
        if any(codes.values()):
            raise NotWithinError(f"not stopped in order: exit codes {codes}; last words {self.last_words()}")
        self.follower.caught_up()
        topics = self.settings.topics
        evidence = Evidence(self.prefix, topics.partitions, topics.item_partitions, self.follower.topics)
        evidence.stores = [
            read_store(path, f"{path.parent.parent.name}/{path.name}", role, int(path.name))
            for role in ROLES
            for path in sorted(self.folder.glob(f"**/{self.prefix}{role}/[0-9]*"))
            if path.name.isdecimal() and (path / "CURRENT").exists()
        ]
        evidence.offsets = group_offsets(self.site.client, self.prefix, ROLES)
        evidence.aborted = asyncio.run(self._aborted())
        evidence.rss = self.workers.rss
        if not self.unreplayable:
            evidence.shadow = asyncio.run(replayed(self.settings, self._random, canonical=canonical))
        return evidence

    def _stopped(self) -> dict[str, int]:
        # One that is still on its way up would end as if interrupted.
        self.until("up", lambda: all(worker.ready for worker in self.workers.all if worker.wanted), READY_S)
        return self.workers.stop()

    async def _aborted(self) -> int:
        """How many records of aborted transactions a reader of uncommitted ones would take for true, in two topics."""
        count = 0
        for name in ("push-candidates", "decisions"):
            everything = await read_topic(
                self.site.client, self.prefix + name, isolation_level="read_uncommitted", fetch_max_wait_ms=50
            )
            count += len(everything) - sum(map(len, self.follower.topics[name].values()))
        return count

    # -- what faults need -------------------------------------------------------------------------------------

    def said(self, worker: Worker, what: str) -> int:
        """How often a worker's log has it."""
        return (self.folder / f"{worker.name}.log").read_text(errors="replace").count(what)

    def stores(self, worker: Worker) -> list[Path]:
        """The directories of a worker's tasks."""
        return sorted(p for p in (worker.data_dir / f"{self.prefix}{worker.role}").glob("*") if p.name.isdecimal())


def _settings(site: Site, prefix: str) -> Settings:
    campaigns = declare(site.folder / prefix)
    return load(
        None,
        {},
        {
            "kafka.bootstrap": site.broker.bootstrap,
            "topics.prefix": prefix,
            "runtime.session_timeout_s": SESSION_S,
            "runtime.data_dir": str(site.folder / prefix / "state"),
            # More to learn from than in a shop, so that the trainer is at work whenever it is killed.
            "core.learning.learn_rate": 0.3,
            # Coupons of which nobody knows yet whether they pay are sent to find out; most of them, or there were few.
            "core.policy.try_share": 0.9,
            **slates.settings(),
            # The load's times are of the past: an idle task's clock would overtake them all.
            "runtime.idle_tick_ms": 0,
            "campaigns.on": ",".join(ON),
            "campaigns.folder": str(campaigns),
            "log.format": "json",
        },
    )
