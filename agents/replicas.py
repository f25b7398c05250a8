"""Read-only copies of compacted topics, whole, on every worker.

A replica applies records between micro-batches only (everything runs on one event loop), so a micro-batch
sees one state of it, and the journal names that state by its offsets. Replicas may lag; a worker that joins
reads them to the end before its first task scores anything.

Compaction leaves the rows of some hours to replays, hundreds a key, and a worker that starts has to get past them. All
are read, by the megabyte; those are not applied whose key has a later row that makes the view what it would be without
them. So the state is the one that the offsets name, to whoever applies every row up to them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer

from agents.changelog_reader import ChangelogReader
from agents.clients import paced, partitions_of
from agents.header_names import take_any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka import TopicPartition

    from agents.changelog_reader import Pairs
    from agents.metrics import Metrics

    Apply = Callable[[bytes | None, bytes | None], None]
    TellsAll = Callable[[bytes | None, bytes | None], bool | None]

log = logging.getLogger(__name__)

#: Records applied between two looks at the event loop: about 10 ms of work.
CHUNK = 1000

#: Rows of a topic put by in the hope that a later one of their key makes them needless.
KEPT_ROWS = 100_000


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
        tells_all: Mapping[str, TellsAll] | None = None,
        places: Mapping[str, Callable[[int], None]] | None = None,
    ) -> None:
        """``views`` maps a logical topic to what applies one (key, value); a value of None is a tombstone.

        ``tells_all``, by logical topic, says of a (key, value) that it is good, and that the view is the same after it
        whatever the key's earlier rows were: those need not be applied. ``None`` says that it may be of the same thing
        as rows of another key.

        ``places``, by logical topic of one partition: what is told the offset of the record that is applied next,
        before each and after the last.
        """
        self._places = {topic(name): place for name, place in (places or {}).items()}
        self._views = {topic(name): apply for name, apply in views.items()}
        self._tells_all = {topic(name): tells for name, tells in (tells_all or {}).items()}
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
        begins = await consumer.beginning_offsets(partitions)
        # In the order of their numbers, as the journal names positions; the answer has any.
        self._positions = {tp: begins[tp] for tp in partitions}
        self._named = self._by_name()
        ends = await consumer.end_offsets(partitions)
        self._follower = asyncio.get_running_loop().create_task(self._catch_up_and_follow(consumer, ends))

    async def stop(self) -> None:
        """Stop following."""
        if self._follower is not None:
            self._follower.cancel()
        if self._consumer is not None:
            await self._consumer.stop()

    async def _catch_up_and_follow(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        try:
            await self._catch_up(consumer, ends)
            consumer.assign(list(self._positions))
            for tp, position in self._positions.items():
                consumer.seek(tp, position)
            await self._track(consumer)
            self.ready.set()
            for name in self._named:
                self._metrics.replica_ready(name)
            while True:
                fetched = await consumer.getmany(timeout_ms=200, max_records=CHUNK)
                for tp, records in fetched.items():
                    apply, place = self._views[tp.topic], self._places.get(tp.topic, _nowhere)
                    for record in records:
                        place(record.offset)
                        apply(record.key, record.value)
                await self._track(consumer)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # a worker must not go on scoring from a copy that stands still
            self._fail("replicas", exc)
            raise

    async def _catch_up(self, consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> None:
        """Bring the views to ``ends`` or a little beyond, and the positions with them."""
        started, rows, applied = time.monotonic(), 0, 0
        newest: dict[str, dict[bytes, bytes | None]] = {topic: {} for topic in self._views}
        changelog = ChangelogReader(consumer, self._positions, ends, numbered=self._places)
        while behind := changelog.behind():
            for tp, pairs, _, _, offsets in await changelog.fetch(behind):
                kept = newest[tp.topic]
                if tp.topic in self._places:
                    applied += self._apply_placed(tp.topic, pairs, offsets)
                else:
                    applied += supersede(pairs, kept, self._views[tp.topic], self._tells_all.get(tp.topic))
                rows += len(pairs)
                if len(kept) > KEPT_ROWS:
                    applied += await self._apply(tp.topic, kept)
                await asyncio.sleep(0)
            self._behind({tp: ends[tp] - position for tp, position in changelog.positions.items()})
        for topic, kept in newest.items():
            applied += await self._apply(topic, kept)
        self._positions = changelog.positions
        log.info(
            "replicas %s ready: %d rows, %d of them applied, in %.2f s",
            sorted(self._logical.values()),
            rows,
            applied,
            time.monotonic() - started,
        )

    def _apply_placed(self, topic: str, pairs: Pairs, offsets: Sequence[int]) -> int:
        """Apply all, each with its offset. How many they were."""
        apply, place = self._views[topic], self._places[topic]
        for offset, (key, value) in zip(offsets, pairs, strict=True):
            place(offset)
            apply(key, value)
        return len(pairs)

    async def _apply(self, topic: str, kept: dict[bytes, bytes | None]) -> int:
        """Apply what was put by, and keep it no more. How many rows that were."""
        for number, (key, value) in enumerate(kept.items(), 1):
            self._views[topic](key, value)
            if number % CHUNK == 0:
                await asyncio.sleep(0)
        rows = len(kept)
        kept.clear()
        return rows

    async def _track(self, consumer: AIOKafkaConsumer) -> None:
        for tp in self._positions:
            self._positions[tp] = await consumer.position(tp)
            end = consumer.last_stable_offset(tp)
            self._lag[tp] = (end if end is not None else self._positions[tp]) - self._positions[tp]
            self._places.get(tp.topic, _nowhere)(self._positions[tp])
        self._named = self._by_name()
        self._behind(self._lag)

    def _behind(self, lag: Mapping[TopicPartition, int]) -> None:
        self._lag = {tp: max(0, behind) for tp, behind in lag.items()}
        for name, behind in self.lag().items():
            self._metrics.replica_lag(name, behind)

    def _by_name(self) -> dict[str, list[int]]:
        named: dict[str, list[int]] = {}
        for tp, position in self._positions.items():
            named.setdefault(self._logical[tp.topic], []).append(position)
        return named


def _nowhere(_offset: int) -> None:
    """Nobody wants to know."""


def supersede(pairs: Pairs, newest: dict[bytes, bytes | None], apply: Apply, tells_all: TellsAll | None) -> int:
    """Put by in ``newest`` the rows that tell all of their key, and apply the others. How many were applied.

    Applying what ``newest`` holds in the end makes the view what it is to whoever applies every row.
    """
    applied = 0
    for key, value in pairs:
        tells = tells_all(key, value) if tells_all is not None else False
        if tells:
            newest[key] = value
            continue
        # What came before it is applied before it.
        for other in [key] if tells is False else list(newest):
            if other in newest:
                apply(other, newest.pop(other))
                applied += 1
        apply(key, value)
        applied += 1
    return applied
