"""Filling a task's tables from their changelogs before the first record is processed.

Several tasks recover at once on one event loop: each reads some megabytes and stores them a megabyte at a time, so
that heartbeats and health pages go on in between. Rows and position are stored together, so that a process killed in
the middle goes on from what it had.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka import TopicPartition

from agents import faults
from agents.changelog_reader import ChangelogReader
from agents.clients import partitions_of, reader
from agents.clock import steady_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.metrics import Metrics
    from state.store import TaskStore

log = logging.getLogger(__name__)

#: Local state not committed to for this long is rebuilt: half of the changelogs' ``delete.retention.ms``, after which
#: a deleted row's tombstone may be gone from the changelog while the row is still on this disk.
STALE_MS: Final = 12 * 3_600_000

#: How long to leave a store alone that has more to write than its disk takes.
BUSY_S: Final = 0.005

#: How often a warm copy looks for more, and how often it is made to outlive this process.
FOLLOWED_EVERY_S: Final = 0.25
FLUSHED_EVERY_S: Final = 60.0

#: A copy that lacks more rows than this waits until a rebalance has settled, and then takes so many a second: it has
#: time, and shares its cores with tasks that are just being opened and have none.
FEW_ROWS: Final = 10_000
SETTLED_S: Final = 5.0
FOLLOWED_ROWS_S: Final = 40_000

#: How long a broker may give nothing.
STALL_S: Final = 30.0

#: How often the log tells how far a recovery is.
TOLD_EVERY_S: Final = 1.0


class ChangelogTruncatedError(RuntimeError):
    """Rows of a changelog were deleted that no local state holds."""


class Progress:
    """What one task's recovery has done and has left, for the log and for metrics.

    What is left is counted in offsets. Those of transaction markers and of rows compacted away bring no row.
    """

    def __init__(self, partition: int, offsets: int, metrics: Metrics | None) -> None:
        self.rows = 0
        self._partition, self._metrics = partition, metrics
        self._offsets = self._left = offsets
        self._started = self._told = self._counted = time.monotonic()
        self.applied(0, 0)

    def applied(self, rows: int, offsets: int) -> None:
        """``rows`` more are stored, and the position is ``offsets`` further."""
        self.rows += rows
        self._left -= offsets
        now = time.monotonic()
        if self._metrics is not None:
            self._metrics.recovering(self._partition, self._left, rows, now - self._counted)
        self._counted = now
        if now - self._told >= TOLD_EVERY_S:
            self._told = now
            self._tell("recovering", now)

    def finished(self) -> None:
        """The tables are up to date."""
        self.applied(0, self._left)
        if self._offsets:
            self._tell("recovered", time.monotonic())

    def _tell(self, what: str, now: float) -> None:
        seconds = now - self._started
        log.info(
            "%s the tables of partition %d: %d rows in %.1f s, %.0f rows/s, %.0f %% done",
            what,
            self._partition,
            self.rows,
            seconds,
            self.rows / max(seconds, 1e-6),
            100 * (1 - max(self._left, 0) / max(self._offsets, 1)),
        )


async def restore(
    store: TaskStore,
    changelogs: Mapping[str, str],
    partition: int,
    client: Mapping[str, Any],
    *,
    metrics: Metrics | None = None,
    stall_s: float = STALL_S,
) -> int:
    """Read each changelog ``read_committed`` from the stored position to its end into ``store``.

    ``changelogs`` maps a table's name to its physical topic. Called after the task's producer has fenced its
    predecessor, so that nothing is open in these partitions and their end is final. What was restored outlives the
    process once this returns. Returns the rows applied; raises ``TimeoutError`` when the broker gives nothing for
    ``stall_s`` seconds.
    """
    begun_ms = steady_ms()
    tables = {TopicPartition(topic, partition): table for table, topic in changelogs.items()}
    async with reader(client) as consumer:
        await partitions_of(consumer, changelogs.values())
        begins = await consumer.beginning_offsets(list(tables))
        ends = await consumer.end_offsets(list(tables))
        _drop_what_cannot_be_completed(store, partition, begun_ms, begins, ends)
        stored = store.positions()
        changelog = ChangelogReader(consumer, {tp: stored.get(tp.topic, begins[tp]) for tp in tables}, ends)
        progress = Progress(partition, sum(ends.values()) - sum(changelog.positions.values()), metrics)
        await _read_to_end(changelog, store, tables, progress, stall_s)
    store.committed({}, fresh_ms=begun_ms)
    progress.finished()
    return progress.rows


async def follow(
    store: TaskStore, changelogs: Mapping[str, str], partition: int, client: Mapping[str, Any], metrics: Metrics
) -> None:
    """Keep ``store`` up to date with the changelogs of a task that somebody else works on, until cancelled.

    Raises what aiokafka and the store raise; what was stored by then stands.
    """
    tables = {TopicPartition(topic, partition): table for table, topic in changelogs.items()}
    async with reader(client) as consumer:
        await partitions_of(consumer, changelogs.values())
        flushed = time.monotonic()
        begins = await consumer.beginning_offsets(list(tables))
        _drop_what_cannot_be_completed(store, partition, steady_ms(), begins, await consumer.end_offsets(list(tables)))
        stored = store.positions()
        positions = {tp: stored.get(tp.topic, begins[tp]) for tp in tables}
        behind = sum((await consumer.end_offsets(list(tables))).values()) - sum(positions.values())
        metrics.standby_lag(partition, behind)
        if behind > FEW_ROWS:
            await asyncio.sleep(SETTLED_S)
        while True:
            asked_ms = steady_ms()
            ends = await consumer.end_offsets(list(tables))
            changelog = ChangelogReader(consumer, positions, ends)
            progress = Progress(partition, 0, None)
            metrics.standby_lag(partition, sum(ends.values()) - sum(positions.values()))
            await _read_to_end(changelog, store, tables, progress, STALL_S, rest_s=1 / FOLLOWED_ROWS_S)
            positions = changelog.positions
            metrics.standby_lag(partition, 0)
            if time.monotonic() - flushed > FLUSHED_EVERY_S:
                flushed = time.monotonic()
                store.committed({}, fresh_ms=asked_ms)
            await asyncio.sleep(FOLLOWED_EVERY_S)


def _drop_what_cannot_be_completed(
    store: TaskStore,
    partition: int,
    now_ms: int,
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> None:
    """Wipe local state that its changelogs cannot bring up to date.

    Raises ``ChangelogTruncatedError``, and leaves everything as it is, where they could not rebuild it either.
    """
    fresh_ms, stored = store.fresh_ms(), store.positions()
    unusable = ""
    if fresh_ms is not None and abs(now_ms - fresh_ms) > STALE_MS:  # dated that far ahead, its age is not known
        unusable = "is too old to be completed, or dated ahead"
    if any(not begins[tp] <= stored.get(tp.topic, 0) <= ends[tp] for tp in begins):
        unusable = "lies outside its changelog"
    if unusable:
        for tp, begin in begins.items():
            if begin:
                raise ChangelogTruncatedError(
                    f"{tp.topic}:{tp.partition} begins at offset {begin}: rows before it were deleted, which "
                    f"compaction never does, and local state {'does not reach it' if stored else 'is not there'}. "
                    "Rebuilt from what is left, tables would lack shoppers silently and for good. Bring back this "
                    "task's state directory, or begin anew under another topics.prefix with the inbound log"
                )
        if stored:
            log.warning("local state of partition %d %s; rebuilding it from the start", partition, unusable)
        store.wipe()
    if store.fresh_ms() is None:
        # Should this recovery be cut short, its rows grow stale from now on.
        store.committed({}, fresh_ms=now_ms)


async def _read_to_end(
    changelog: ChangelogReader,
    store: TaskStore,
    tables: Mapping[TopicPartition, str],
    progress: Progress,
    stall_s: float,
    *,
    rest_s: float = 0.0,
) -> None:
    """``rest_s`` is a pause for each row."""
    progressed = time.monotonic()
    while behind := changelog.behind():
        for tp, pairs, begin, end, _ in await changelog.fetch(behind):
            if end == begin:
                continue
            while store.busy():  # noqa: ASYNC110 - RocksDB tells nobody when it is not any more
                await asyncio.sleep(BUSY_S)
            store.restore(tables[tp], pairs, end, changelog=tp.topic)
            faults.point("during-recovery")
            progress.applied(len(pairs), end - begin)
            progressed = time.monotonic()
            await asyncio.sleep(rest_s * len(pairs))
        if time.monotonic() - progressed > stall_s:
            raise TimeoutError(f"the changelogs {[tp.topic for tp in behind]} gave nothing for {stall_s:.0f} s")
