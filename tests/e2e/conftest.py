"""A whole system under its own topic prefix: topics, worker processes, and readers of what they did."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from agents.clients import read_topic
from agents.topic_admin import create_topics
from streamer.demo import ROLES, free_ports, is_ready
from streamer.settings import Settings, load
from streamer.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from aiokafka import ConsumerRecord

READY_S = 60.0


class System:
    """A running streamer: its settings, its supervisor, and the topics as a stock client sees them."""

    def __init__(self, settings: Settings, workers: int = 1) -> None:
        self.settings = settings
        self.client = settings.kafka.client_kwargs()
        self.topic = settings.topics.physical
        self.supervisor = Supervisor(ROLES, workers, settings)

    def start(self) -> None:
        """Start the workers and wait until each says that it is ready."""
        self.supervisor.start()
        self.until(
            lambda: all(is_ready(self.settings.web.port + n) for n in range(len(self.supervisor.children))), READY_S
        )

    def until(self, done: Callable[[], bool], timeout_s: float) -> None:
        """Tend the workers until ``done()``; fail after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"not within {timeout_s} s"
            self.supervisor.tend()
            time.sleep(0.1)

    def send(
        self,
        rows: Sequence[tuple[str, bytes | None, bytes | None]],
        *,
        partition: int | None = None,
        compression: str | None = None,
        ahead_ms: int = 0,
    ) -> None:
        """Produce (logical topic, key, value) rows with a stock client, whose clock may be ahead."""

        async def produce() -> None:
            producer = AIOKafkaProducer(**self.client, max_request_size=3 << 20, compression_type=compression)
            await producer.start()
            try:
                how: dict[str, Any] = {"partition": partition, "timestamp_ms": int(time.time() * 1000) + ahead_ms}
                how["headers"] = [("produced_at", str(int(time.time() * 1000)).encode())]
                futures = [await producer.send(self.topic(t), key=k, value=v, **how) for t, k, v in rows]
                await asyncio.gather(*futures)
            finally:
                await producer.stop()

        asyncio.run(produce())

    def read(self, name: str, *, isolation: str = "read_committed") -> list[ConsumerRecord[Any, Any]]:
        """Everything in a topic, partition by partition, in offset order."""
        return asyncio.run(read_topic(self.client, self.topic(name), isolation_level=isolation, fetch_max_wait_ms=50))

    def outcomes(self) -> Counter[str]:
        """What became of every record folded, from the journal."""
        counts: Counter[str] = Counter()
        for record in self.read("journal"):
            for batch in orjson.loads(record.value)["batches"]:
                counts.update(batch["counts"])
        return counts

    def drain(self, events: int, timeout_s: float = 60.0) -> Counter[str]:
        """Wait until ``events`` inbound records are accounted for, then tell how."""
        counts: Counter[str] = Counter()

        def done() -> bool:
            nonlocal counts
            counts = self.outcomes()
            return sum(counts[name] for name in ("applied", "duplicate", "late", "dead_letter")) >= events

        self.until(done, timeout_s)
        return counts


@pytest.fixture
def system(bootstrap: str, prefix: str, tmp_path: Path) -> Iterator[System]:
    """A system that runs for one test."""
    with running(settings_for(bootstrap, prefix, tmp_path)) as system:
        yield system


def settings_for(bootstrap: str, prefix: str, path: Path, **overrides: object) -> Settings:
    """Settings of a test's system; ``overrides`` as flags take them, with ``__`` for the dots."""
    flags: dict[str, object] = {
        "kafka.bootstrap": bootstrap,
        "topics.prefix": prefix,
        "runtime.data_dir": str(path / "state"),
    }
    flags |= {name.replace("__", "."): value for name, value in overrides.items()}
    settings = load(None, {}, flags)
    return dataclasses.replace(settings, web=dataclasses.replace(settings.web, port=free_ports(len(ROLES) + 1)))


@contextlib.contextmanager
def running(settings: Settings, workers: int = 1) -> Iterator[System]:
    """A system with so many user workers, between start and stop."""
    system = System(settings, workers)
    asyncio.run(create_topics(system.client, settings.topics))
    try:
        system.start()
        yield system
    finally:
        system.supervisor.stop()
