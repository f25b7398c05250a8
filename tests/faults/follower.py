"""Reads every topic as it is written, ``read_committed``: the ledger of a run, and the measure of its progress."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from tests.faults import state
from tests.faults.checker import ROLES
from tests.faults.plain import Rec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

PATIENCE_S: Final = 90.0

log = logging.getLogger(__name__)


class Follower:
    """Holds every committed record of ``partitions`` (logical topic → how many) from their beginnings on.

    It has read a record before a test deletes it from the log. ``commits`` is when a task was last seen to commit, on
    the monotonic clock, by (role, partition).
    """

    def __init__(self, client: Mapping[str, Any], prefix: str, partitions: Mapping[str, int]) -> None:
        self.topics: dict[str, dict[int, list[Rec]]] = {
            topic: {number: [] for number in range(count)} for topic, count in partitions.items()
        }
        self.commits: dict[tuple[str, int], float] = {}
        self._client, self._prefix = client, prefix
        self._caught_up = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._thread.join()

    def last(self, topic: str, partition: int) -> int:
        """The offset after the newest committed record."""
        records = self.topics[topic][partition]
        return records[-1].offset + 1 if records else 0

    def applied(self, role: str, partition: int) -> dict[str, int]:
        """The task's positions as last committed."""
        key = str(partition).encode()
        for rec in reversed(self.topics[f"changelog-{role}-tasks"][partition]):
            if rec.key == key:
                found: dict[str, int] = state.task_row(rec.value)["positions"]
                return found
        return {}

    def backlog(self, role: str, partition: int) -> dict[str, int]:
        """Committed records of each input that the task has not committed yet; those with none are left out."""
        applied = self.applied(role, partition)
        behind = {topic: self.last(topic, partition) - applied.get(topic, 0) for topic in ROLES[role][0]}
        return {topic: count for topic, count in behind.items() if count}

    def tasks(self, role: str) -> range:
        """The partitions of a role."""
        return range(len(self.topics[f"changelog-{role}-tasks"]))

    def moved_on(self, role: str, since: float) -> bool:
        """Whether every task of the role has committed since then, or has nothing to do."""
        return all(self.commits.get((role, p), 0) > since or not self.backlog(role, p) for p in self.tasks(role))

    def caught_up(self) -> bool:
        """Whether this follower itself has read all that is committed; waits for a look that began after the call."""
        began, deadline = self._caught_up, time.monotonic() + PATIENCE_S
        while self._caught_up < began + 2:
            self.check()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def _run(self) -> None:
        try:
            asyncio.run(self._follow())
        except BaseException as failure:  # noqa: BLE001 - told to whoever waits
            self._failure = failure

    def check(self) -> None:
        """Raises ``RuntimeError`` if this follower itself has failed."""
        if self._failure is not None:
            raise RuntimeError(f"the follower failed: {self._failure!r}") from self._failure

    async def _follow(self) -> None:
        while not self._ended:
            try:
                await self._read()
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as away:
                # The broker is away, as tests have it; go on from where we are. Nobody cancels this task: aiokafka's
                # stop() lets out the cancellation of a fetch of its own.
                log.debug("reading anew: %r", away)
                await asyncio.sleep(0.3)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=4 << 20,
            request_timeout_ms=10_000,
        )
        try:
            await consumer.start()
            tps = [TopicPartition(self._prefix + t, n) for t, parts in self.topics.items() for n in parts]
            consumer.assign(tps)
            for tp in tps:
                consumer.seek(tp, self.last(tp.topic.removeprefix(self._prefix), tp.partition))
            while not self._ended:
                fetched = await consumer.getmany(timeout_ms=100)
                for tp, records in fetched.items():
                    self._take(tp.topic.removeprefix(self._prefix), tp.partition, records)
                if not fetched and await self._at_ends(consumer, tps):
                    self._caught_up += 1
        finally:
            await consumer.stop()

    async def _at_ends(self, consumer: AIOKafkaConsumer, tps: list[TopicPartition]) -> bool:
        ends = await consumer.end_offsets(tps)
        return all([await consumer.position(tp) >= ends[tp] for tp in tps])

    def _take(self, topic: str, partition: int, records: list[Any]) -> None:
        self.topics[topic][partition] += [
            Rec(topic, partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records
        ]
        if topic.startswith("changelog-") and topic.endswith("-tasks"):
            self.commits[topic.split("-")[1], partition] = time.monotonic()
