"""Reads, ``read_committed``, what the system put on its output topics, and keeps count."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Observer:
    """Follows ``push-candidates``, ``decisions``, ``journal`` and ``model`` from where they stood at its start.

    ``outcomes`` sums the journal's counts: what became of every record folded, exactly once. ``latency_ms`` holds, for every
    candidate, the time from its ``produced_at`` header to its receipt here.
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
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Observer:
        consumer = self._consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=10,
        )
        await consumer.start()
        partitions: list[TopicPartition] = []
        for physical in self._names:
            await consumer._client._wait_on_metadata(physical)
            partitions += [TopicPartition(physical, p) for p in sorted(consumer.partitions_for_topic(physical) or ())]
        consumer.assign(partitions)
        for tp, end in (await consumer.end_offsets(partitions)).items():
            consumer.seek(tp, end)
        self._task = asyncio.get_running_loop().create_task(self._follow(consumer))
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        assert self._consumer is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

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


def quantiles(values: list[float]) -> dict[str, float | None]:
    """p50, p99 and maximum by the nearest rank; None for no values."""
    if not values:
        return {"p50": None, "p99": None, "max": None}
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)

    return {"p50": at(0.5), "p99": at(0.99), "max": round(ordered[-1], 1)}
