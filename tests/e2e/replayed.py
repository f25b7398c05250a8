"""A run for tests of replay: a system that has folded its load and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from agents.clients import read_topic
from streamer.replay.run import Report, Request, replay
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import event, items_of, items_told, shop

if TYPE_CHECKING:
    from pathlib import Path

    from aiokafka import ConsumerRecord

    from streamer.settings import Settings

WEEK_S = 7 * 86_400


@dataclass
class Run:
    """A system that has stopped: its settings, how many events it folded, and its candidates then."""

    settings: Settings
    events: int
    candidates: list[ConsumerRecord[Any, Any]]

    def read(self, topic: str) -> list[ConsumerRecord[Any, Any]]:
        return asyncio.run(read_topic(self.settings.kafka.client_kwargs(), self.settings.topics.physical(topic)))

    def replay(self, into: str, **asked: Any) -> Report:
        return asyncio.run(replay(self.settings, Request(into, **asked), lambda *_: None))

    def middle_ms(self) -> int:
        """When about half of the journal was written."""
        times: list[int] = sorted(record.timestamp for record in self.read("journal"))
        return times[len(times) // 2]

    def trim(self, topic: str, partition: int, before: int) -> None:
        """Have the broker forget the records below an offset."""

        async def delete() -> None:
            admin = AIOKafkaAdminClient(**self.settings.kafka.client_kwargs())
            await admin.start()
            try:
                place = TopicPartition(self.settings.topics.physical(topic), partition)
                await admin.delete_records({place: RecordsToDelete(before_offset=before)})
            finally:
                await admin.close()

        asyncio.run(delete())


def week_old(rows: list[tuple[str, bytes | None, bytes | None]]) -> list[tuple[str, bytes | None, bytes | None]]:
    """The same shoppers and items, a week ago."""
    old: list[tuple[str, bytes | None, bytes | None]] = []
    for n, (topic, key, value) in enumerate(rows):
        (item,) = orjson.loads(value or b"")["data"]["items"]
        old.append((topic, key, event((key or b"").decode(), n, item["id"], ago_s=WEEK_S + len(rows) - n)))
    return old


def contents(records: list[ConsumerRecord[Any, Any]]) -> list[tuple[object, ...]]:
    return [(r.partition, r.key, r.value, r.headers) for r in records]


def ids(records: list[ConsumerRecord[Any, Any]]) -> list[str]:
    return [orjson.loads(r.value)["candidate_id"] for r in records]


def folded(bootstrap: str, path: Path) -> Run:
    """A week-old load, then one of now, folded by two workers of which one is killed in the middle."""
    settings = settings_for(bootstrap, f"{path.name}.", path, runtime__session_timeout_s=6)
    with running(settings, workers=2) as system:
        loads = [week_old(shop(10, 12, "old")), week_old(shop(30, 8, "older")), shop(60, 12, "first")]
        loads.append(shop(60, 12, "second"))
        events = 0
        for number, load in enumerate(loads):
            system.send(load)
            events += len(load)
            if number == 2:
                killed = next(child for child in system.supervisor.children if child.name == "user-1")
                assert killed.process is not None
                os.kill(killed.process.pid, signal.SIGKILL)
            else:
                system.drain(events, timeout_s=90)
            if number == 0:
                system.until(lambda: items_told(system.read("item-index")) == len(items_of(loads[0])), 20)
        candidates = system.read("push-candidates")
    return Run(settings, events, candidates)
