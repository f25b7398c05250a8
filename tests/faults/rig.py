"""A broker that may be killed, a system on it that may be hurt, and the evidence of what it did."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from agents.clients import read_topic
from agents.topics import TOPICS, create_topics
from streamer.broker import EmbeddedBroker, free_port
from streamer.demo import free_ports
from streamer.settings import Settings, load
from tests.faults.checker import ROLES
from tests.faults.evidence import Evidence, read_store
from tests.faults.follower import Follower
from tests.faults.load import Load
from tests.faults.proxy import Proxy
from tests.faults.publisher import Publisher
from tests.faults.workers import Worker, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


READY_S: Final = 90.0
RECOVER_S: Final = 90.0
SESSION_S: Final = 6
SPAN_MS: Final = 8 * 3_600_000
DISK_BYTES: Final = 256 << 20
UNREAD: Final = {"sessions", "catalog"}


class NotWithinError(AssertionError):
    """Something that must happen by itself did not, within a bound."""


@dataclasses.dataclass
class Site:
    """A broker with a second listener that it advertises at a proxy's port; and a folder."""

    broker: EmbeddedBroker
    proxy: Proxy
    folder: Path
    proxied: str

    @property
    def client(self) -> dict[str, str]:
        """Aiokafka's arguments for the direct listener."""
        return {"bootstrap_servers": self.broker.bootstrap}


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """One for many rounds."""
    folder = Path(tempfile.mkdtemp(prefix="streamer-faults-"))
    port, behind, front, controller = (free_port() for _ in range(4))
    config = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{front}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
    }
    broker = EmbeddedBroker(data_dir=folder / "kafka", port=port, config=config)
    try:
        with broker, Proxy(front, behind) as proxy:
            yield Site(broker, proxy, folder, f"127.0.0.1:{front}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Rig:
    """A system under a prefix of its own, under load."""

    def __init__(self, site: Site, prefix: str, seed: int, *, rate: float, seconds: float) -> None:
        self.site, self.prefix = site, prefix
        self.folder = site.folder / prefix
        self.folder.mkdir()
        self.disk = self.folder / "disk"
        self.settings = _settings(site, prefix)
        topics = self.settings.topics
        begun = int(time.time() * 1000)
        step = SPAN_MS / max(1.0, rate * seconds)
        self.load = Load(seed, from_ms=begun - 2 * SPAN_MS, step_ms=step, partitions=topics.partitions)
        self.follower = Follower(
            site.client, prefix, {spec.name: spec.partitions(topics) for spec in TOPICS if spec.name not in UNREAD}
        )
        self.publisher = Publisher(site.client, prefix, self.load, rate=rate, partitions=topics.partitions)
        self.workers = Workers(self.settings, self.folder, free_ports(8))
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Self:
        asyncio.run(create_topics(self.settings.kafka.client_kwargs(), self.settings.topics))
        with contextlib.ExitStack() as opening:
            opening.enter_context(self.follower)
            opening.callback(self._unmount)
            opening.callback(self.workers.stop)
            self._mount()
            for role in ROLES:
                self.workers.add(role, 0, data_dir=self.disk / "user-0" if role == "user" else None)
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

    def last_words(self) -> dict[str, str]:
        """The last error of each worker's log."""
        said = {}
        for log in sorted(self.folder.glob("*.log")):
            loud = [line for line in log.read_text(errors="replace").splitlines() if '"CRITICAL"' in line]
            if loud:
                said[log.stem] = loud[-1][:600]
        return said

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

    def finish(self) -> Evidence:
        """Stop the workers, and gather what they leave. Raises ``NotWithinError`` if one does not stop in order."""
        codes = self.workers.stop()
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
        evidence.offsets = asyncio.run(self._offsets())
        evidence.aborted = asyncio.run(self._aborted())
        return evidence

    async def _offsets(self) -> dict[tuple[str, str, int], int]:
        admin = AIOKafkaAdminClient(**self.site.client)
        await admin.start()
        try:
            found = {role: await admin.list_consumer_group_offsets(f"{self.prefix}{role}") for role in ROLES}
        finally:
            await admin.close()
        return {
            (role, tp.topic.removeprefix(self.prefix), tp.partition): meta.offset
            for role, offsets in found.items()
            for tp, meta in offsets.items()
        }

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

    def stores(self, worker: Worker) -> list[Path]:
        """The directories of a worker's tasks."""
        return sorted(p for p in (worker.data_dir / f"{self.prefix}{worker.role}").glob("*") if p.name.isdecimal())

    def send(self, rows: Sequence[tuple[str, int, bytes | None, bytes | None]]) -> None:
        """Put (logical topic, partition, key, value) rows where nobody should."""
        from aiokafka import AIOKafkaProducer

        async def produce() -> None:
            async with AIOKafkaProducer(**self.site.client) as producer:
                for topic, partition, key, value in rows:
                    await producer.send_and_wait(self.prefix + topic, value, key=key, partition=partition)

        asyncio.run(produce())

    def truncate(self, before: dict[tuple[str, int], int]) -> None:
        """Delete the records of (logical topic, partition) before an offset."""

        async def delete() -> None:
            admin = AIOKafkaAdminClient(**self.site.client)
            await admin.start()
            try:
                await admin.delete_records(
                    {
                        TopicPartition(self.prefix + t, p): RecordsToDelete(before_offset=o)
                        for (t, p), o in before.items()
                    }
                )
            finally:
                await admin.close()

        asyncio.run(delete())

    def _mount(self) -> None:
        self.disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "streamer-faults", str(self.disk)]
        self.mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0

    def remount(self, how: str) -> bool:
        """Make the disk of user-0 ``ro`` or ``rw``. Whether that could be had."""
        command = ["mount", "-o", f"remount,{how}", str(self.disk)]
        return self.mounted and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _unmount(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.disk)], capture_output=True, check=False)


def _settings(site: Site, prefix: str) -> Settings:
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
            "log.format": "json",
        },
    )
