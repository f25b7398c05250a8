"""The simulated shop's side of Kafka: it publishes, waits until the engine has passed what it published, and reads.

It knows topics and their contract alone. The engine has passed an event when a row of ``journal`` says that the task
folded it; what was decided on it lies in the same transaction.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from load_tests.shop.action import milliseconds
from load_tests.shop.world import Push

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from load_tests.shop.action import Row

#: Of no consequence to a broker that deletes nothing; a run lies in the past, so its records would be old at once.
BROKER: Final = {
    "log.retention.check.interval.ms": "86400000",
    "log.initial.task.delay.ms": "86400000",
    "log.cleaner.enable": "false",
}


class Logged(NamedTuple):
    """A record of ``decisions``."""

    user: str
    partition: int
    offset: int
    value: bytes


class StuckError(TimeoutError):
    """The engine did not pass what was published; the message says what is missing."""


class Wire:
    """A connection to an engine's topics. ``tend`` is called while waiting, about ten times a second.

    ``times``: Kafka timestamps of what was published, by topic, partition and offset.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        prefix: str,
        *,
        tend: Callable[[], None] | None = None,
        patience_s: float = 120.0,
    ) -> None:
        self._client, self._prefix, self._tend, self._patience_s = dict(client), prefix, tend, patience_s
        self.times: dict[tuple[str, int, int], int] = {}
        self._sent: dict[tuple[str, int], int] = {}
        self._passed: dict[tuple[str, int], int] = {}
        self.published = 0

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self._client, acks="all", enable_idempotence=True, linger_ms=2)
        options = {"enable_auto_commit": False, "auto_offset_reset": "earliest", "fetch_max_wait_ms": 20}
        self._journal = AIOKafkaConsumer(**self._client, **options, isolation_level="read_committed")
        self._pushes = AIOKafkaConsumer(**self._client, **options, isolation_level="read_committed")
        self._decisions = AIOKafkaConsumer(**self._client, **options, isolation_level="read_committed")
        self._ends = AIOKafkaConsumer(**self._client, enable_auto_commit=False)
        for each in (self._producer, self._journal, self._pushes, self._decisions, self._ends):
            await each.start()
        await self._assign(self._journal, "journal")
        await self._assign(self._pushes, "push-candidates")
        await self._assign(self._decisions, "decisions")
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in (self._producer, self._journal, self._pushes, self._decisions, self._ends):
            await each.stop()

    async def exchange(self, rows: Sequence[Row]) -> list[Push]:
        """Publish the rows in their order, wait until the engine has passed them, and give what it pushed."""
        await self._publish(rows)
        await self._until_passed()
        return await self._candidates()

    async def _publish(self, rows: Sequence[Row]) -> None:
        sent = [
            await self._producer.send(self._prefix + row.topic, row.value, row.key, timestamp_ms=row.timestamp_ms)
            for row in rows
        ]
        await self._producer.flush()
        for row, future in zip(rows, sent, strict=True):
            where = await future
            if row.topic != "catalog":  # which no task folds
                self._sent[row.topic, where.partition] = where.offset
                self.times[row.topic, where.partition, where.offset] = row.timestamp_ms
        self.published += len(rows)

    async def _until_passed(self) -> None:
        deadline = time.monotonic() + self._patience_s
        while behind := {at: last for at, last in self._sent.items() if self._passed.get(at, -1) < last}:
            fetched = await self._journal.getmany(timeout_ms=100)
            for records in fetched.values():
                for entry in records:
                    self._follow(entry)
            if self._tend is not None:
                self._tend()
            if fetched:
                deadline = time.monotonic() + self._patience_s
            elif time.monotonic() > deadline:
                raise StuckError(f"no row of the journal in {self._patience_s:.0f} s; not passed: {behind}")

    def _follow(self, entry: Any) -> None:
        for batch in json.loads(entry.value)["batches"]:
            for topic, _, last in batch["runs"]:
                at = topic, entry.partition
                self._passed[at] = max(self._passed.get(at, -1), last)

    async def _candidates(self) -> list[Push]:
        """What has come, in the order of decision."""
        found = [read_push(json.loads(record.value)) for record in await self._to_end(self._pushes)]
        return sorted(found, key=lambda push: (push.decided_ms, push.id))

    async def decisions(self) -> list[Logged]:
        """Those since it was asked last, a partition's in their order."""
        return [
            Logged(record.key.decode(), record.partition, record.offset, record.value)
            for record in await self._to_end(self._decisions)
        ]

    async def _to_end(self, consumer: AIOKafkaConsumer) -> list[Any]:
        """What has come. A commit reaches the partitions one after the other: the journal may be readable before the
        other topics are, so these are read up to where anything was written at all.
        """
        partitions = list(consumer.assignment())
        ends = await self._ends.end_offsets(partitions)
        found: list[Any] = []
        deadline = time.monotonic() + self._patience_s
        while [tp for tp in partitions if await consumer.position(tp) < ends[tp]]:
            for records in (await consumer.getmany(timeout_ms=50)).values():
                found += records
            if self._tend is not None:
                self._tend()
            if time.monotonic() > deadline:
                names = ", ".join(sorted({tp.topic for tp in partitions}))
                raise StuckError(f"{names} cannot be read to its end within {self._patience_s:.0f} s")
        return found

    async def _assign(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        name = self._prefix + topic
        deadline = time.monotonic() + self._patience_s
        while not (numbers := await self._numbers(name)):
            if time.monotonic() > deadline:
                raise StuckError(f"there is no topic {name}")
            await asyncio.sleep(0.05)
        partitions = [TopicPartition(name, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        await consumer.seek_to_end(*partitions)

    async def _numbers(self, name: str) -> set[int]:
        found = await self._producer.partitions_for(name)
        return set(found or ())


def read_push(candidate: dict[str, Any]) -> Push:
    """A record of ``push-candidates``."""
    return Push(
        candidate["candidate_id"],
        int(candidate["user_id"].rpartition("-")[2]),
        tuple(int(item["id"].rpartition("-")[2]) for item in candidate["items"]),
        milliseconds(candidate["decided_at"]),
        candidate["campaign"],
    )
