"""Reads, ``read_committed``, what the system put on its output topics, and keeps count."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson

from agents.clients import partitions_of, reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from aiokafka import AIOKafkaConsumer


class Observer:
    """Follows ``push-candidates``, ``decisions``, ``journal`` and ``model`` from where they stood at its start.

    ``outcomes`` sums the journal's counts: what became of every record folded, exactly once. ``latency_ms`` holds, for
    every candidate, the time from its ``produced_at`` header to its receipt here.
    """

    def __init__(self, client: Mapping[str, Any], topic: Callable[[str], str]) -> None:
        self._client = client
        self._names = {topic(name): name for name in ("push-candidates", "decisions", "journal", "model")}
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.latency_ms: list[float] = []
        self.latest: deque[dict[str, Any]] = deque(maxlen=50)
        self.model: dict[str, dict[str, Any]] = {}
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            consumer = await opening.enter_async_context(reader(self._client, fetch_max_wait_ms=10))
            partitions = await partitions_of(consumer, self._names)
            consumer.assign(partitions)
            for tp, end in (await consumer.end_offsets(partitions)).items():
                consumer.seek(tp, end)
            opening.push_async_callback(_ended, asyncio.get_running_loop().create_task(self._follow(consumer)))
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    @property
    def accounted(self) -> int:
        """Inbound records whose fate is committed; a re-keyed record counts when it has come back."""
        return sum(self.outcomes[name] for name in ("applied", "duplicate", "late", "dead_letter"))

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            fetched = await consumer.getmany(timeout_ms=100)
            now = time.time() * 1000
            for tp, records in fetched.items():
                name = self._names[tp.topic]
                for record in records:
                    self._take(name, record, now)

    def _take(self, name: str, record: Any, now: float) -> None:
        if name == "push-candidates":
            candidate = orjson.loads(record.value)
            self.ids[candidate["candidate_id"]] += 1
            self.latest.append(candidate)
            for key, value in record.headers:
                if key == "produced_at":
                    self.latency_ms.append(now - float(value))
        elif name == "decisions":
            self.reasons[orjson.loads(record.value)["r"]] += 1
        elif name == "journal":
            for batch in orjson.loads(record.value)["batches"]:
                self.outcomes.update(batch["counts"])
        elif record.key is not None and record.key.startswith(b"metrics/") and record.value is not None:
            self.model[record.key.decode().partition("/")[2]] = orjson.loads(record.value)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def quantiles(values: list[float]) -> dict[str, float | None]:
    """p50, p99 and maximum by the nearest rank; None for no values."""
    if not values:
        return {"p50": None, "p99": None, "max": None}
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 1)}
