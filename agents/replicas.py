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

from agents.changelog_reader import ChangelogReader
from agents.clients import partitions_of
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
        started = time.monotonic()
        self._consumer = consumer = AIOKafkaConsumer(
            **self._client,
            group_id=None,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=1 << 20,
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        partitions = await partitions_of(consumer, self._views)
        self._positions = dict(await consumer.beginning_offsets(partitions))
        ends = await consumer.end_offsets(partitions)
        self._follower = asyncio.get_running_loop().create_task(self._catch_up_and_follow(ends, started))

    async def stop(self) -> None:
        """Stop following."""
        if self._follower is not None:
            self._follower.cancel()
        if self._consumer is not None:
            await self._consumer.stop()

    async def _catch_up_and_follow(self, ends: Mapping[TopicPartition, int], started: float) -> None:
        consumer = self._consumer
        assert consumer is not None
        try:
            rows, kept = await self._catch_up(consumer, ends)
            consumer.assign(list(self._positions))
            for tp, position in self._positions.items():
                consumer.seek(tp, position)
            await self._track(consumer)
            log.info(
                "replicas %s ready: %d rows of %d read in %.2f s",
                sorted(self._named),
                kept,
                rows,
                time.monotonic() - started,
            )
            for name in self._named:
                self._metrics.replica_ready(name)
            self.ready.set()
            while True:
                fetched = await consumer.getmany(timeout_ms=200, max_records=CHUNK)
                for tp, records in fetched.items():
                    apply = self._views[tp.topic]
                    for record in records:
                        apply(record.key, record.value)
                await self._track(consumer)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # a worker must not go on scoring from a copy that stands still
            self._fail("replicas", exc)
            raise

    async def _catch_up(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> tuple[int, int]:
        """Read everything up to ``ends`` and apply of each key the newest row alone, in the order of the log.

        What compaction has not come to yet, or is told to leave for replays, is many rows a key: reading one costs
        3 µs, applying it five times that. Returns the rows read and those applied.
        """
        rows = 0
        newest: dict[tuple[str, bytes], bytes | None] = {}
        changelog = ChangelogReader(consumer, self._positions, ends)
        while behind := changelog.behind():
            for tp, pairs, _, _ in await changelog.fetch(behind):
                rows += len(pairs)
                for key, value in pairs:
                    newest.pop((tp.topic, key), None)
                    newest[tp.topic, key] = value
                await asyncio.sleep(0)
            self._report({tp: ends[tp] - position for tp, position in changelog.positions.items()})
        for number, ((topic, key), row) in enumerate(newest.items()):
            self._views[topic](key, row)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        self._positions = changelog.positions
        return rows, len(newest)

    async def _track(self, consumer: AIOKafkaConsumer) -> None:
        for tp in self._positions:
            self._positions[tp] = await consumer.position(tp)
            end = consumer.last_stable_offset(tp)
            self._lag[tp] = max(0, (end if end is not None else self._positions[tp]) - self._positions[tp])
        self._named = self._by_name()
        self._report(self._lag)

    def _report(self, lag: Mapping[TopicPartition, int]) -> None:
        self._lag = {tp: max(0, behind) for tp, behind in lag.items()}
        for name, behind in self.lag().items():
            self._metrics.replica_lag(name, behind)

    def _by_name(self) -> dict[str, list[int]]:
        named: dict[str, list[int]] = {}
        for tp, position in self._positions.items():
            named.setdefault(self._logical[tp.topic], []).append(position)
        return named
