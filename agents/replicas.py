"""Read-only copies of compacted topics, whole, on every worker.

A replica applies records between micro-batches only (everything runs on one event loop), so a micro-batch
sees one state of it, and the journal names that state by its offsets. Replicas may lag; a worker that joins
reads them to the end before its first task scores anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer

from agents.clients import paced, partitions_of
from agents.header_names import take_any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka import TopicPartition

    from agents.metrics import Metrics

    Apply = Callable[[bytes | None, bytes | None], None]

log = logging.getLogger(__name__)

#: Records applied between two looks at the event loop: about 10 ms of work.
CHUNK = 1000


class Replicas:
    """Follows topics from their beginning and applies each record to a view."""

    def __init__(
        self,
        views: Mapping[str, Apply],
        *,
        topic: Callable[[str], str],
        client: Mapping[str, Any],
        metrics: Metrics,
        fail: Callable[[str, BaseException], None],
    ) -> None:
        """``views`` maps a logical topic to what applies one (key, value); a value of None is a tombstone."""
        self._views = {topic(name): apply for name, apply in views.items()}
        self._logical = {topic(name): name for name in views}
        self._client, self._metrics, self._fail = client, metrics, fail
        self._positions: dict[TopicPartition, int] = {}
        self._lag: dict[TopicPartition, int] = {}
        self._named: dict[str, list[int]] = {}
        self._consumer: AIOKafkaConsumer | None = None
        self._follower: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    def positions(self) -> dict[str, list[int]]:
        """The next offset of every partition by logical topic: what the journal pins for a micro-batch."""
        return self._named

    def lag(self) -> dict[str, int]:
        """Records not yet applied, by logical topic."""
        lag = dict.fromkeys(self._logical.values(), 0)
        for tp, behind in self._lag.items():
            lag[self._logical[tp.topic]] += behind
        return lag

    async def start(self) -> None:
        """Connect and begin to follow; ``ready`` is set once the ends seen at the start are reached.

        Does nothing when already started.
        """
        if self._consumer is not None:
            return
        take_any()
        self._consumer = consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=1 << 20,
            fetch_max_wait_ms=100,
        )
        paced(consumer._client)  # noqa: SLF001 - a consumer does not show its client
        await consumer.start()
        partitions = await partitions_of(consumer, self._views)
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        for tp in partitions:
            consumer.seek(tp, begins[tp])
            self._positions[tp] = begins[tp]
        self._named = self._by_name()
        self._follower = asyncio.get_running_loop().create_task(self._follow(await consumer.end_offsets(partitions)))

    async def stop(self) -> None:
        """Stop following."""
        if self._follower is not None:
            self._follower.cancel()
        if self._consumer is not None:
            await self._consumer.stop()

    async def _follow(self, ends: Mapping[TopicPartition, int]) -> None:
        consumer = self._consumer
        assert consumer is not None
        started, rows = time.monotonic(), 0
        try:
            while True:
                fetched = await consumer.getmany(timeout_ms=200, max_records=CHUNK)
                for tp, records in fetched.items():
                    apply = self._views[tp.topic]
                    for record in records:
                        apply(record.key, record.value)
                    rows += len(records)
                await self._track(consumer)
                if not self.ready.is_set() and all(self._positions[tp] >= end for tp, end in ends.items()):
                    log.info(
                        "replicas %s ready: %d rows in %.2f s", sorted(self._named), rows, time.monotonic() - started
                    )
                    self.ready.set()
                    for name in self._named:
                        self._metrics.replica_ready(name)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # a worker must not go on scoring from a copy that stands still
            self._fail("replicas", exc)
            raise

    async def _track(self, consumer: AIOKafkaConsumer) -> None:
        for tp in self._positions:
            self._positions[tp] = await consumer.position(tp)
            end = consumer.last_stable_offset(tp)
            self._lag[tp] = max(0, (end if end is not None else self._positions[tp]) - self._positions[tp])
        self._named = self._by_name()
        for name, behind in self.lag().items():
            self._metrics.replica_lag(name, behind)

    def _by_name(self) -> dict[str, list[int]]:
        named: dict[str, list[int]] = {}
        for tp, position in self._positions.items():
            named.setdefault(self._logical[tp.topic], []).append(position)
        return named
