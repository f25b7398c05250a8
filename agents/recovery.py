"""Filling a task's tables from their changelogs before the first record is processed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from agents import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from state.store import TaskStore

log = logging.getLogger(__name__)

FETCH_BYTES = 4 << 20

#: Local state not committed to for this long is rebuilt: half of the changelogs' ``delete.retention.ms``, after which
#: a deleted row's tombstone may be gone from the changelog while the row is still on this disk.
STALE_MS = 12 * 3_600_000


async def restore(
    store: TaskStore, changelogs: Mapping[str, str], partition: int, client: Mapping[str, Any], *, stall_s: float = 30.0
) -> int:
    """Read each changelog ``read_committed`` from the stored position to its end into ``store``.

    ``changelogs`` maps a table's name to its physical topic. Called after the task's producer has fenced its
    predecessor, so that nothing is open in these partitions and their end is final. Returns the rows applied;
    raises ``TimeoutError`` when the broker gives nothing for ``stall_s`` seconds.
    """
    tables = {TopicPartition(topic, partition): table for table, topic in changelogs.items()}
    consumer = AIOKafkaConsumer(
        **client,
        group_id=None,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        consumer.assign(list(tables))
        begins = await consumer.beginning_offsets(list(tables))
        ends = await consumer.end_offsets(list(tables))
        fresh_ms = store.fresh_ms()
        if fresh_ms is not None and time.time() * 1000 - fresh_ms > STALE_MS:
            log.warning(
                "local state of partition %d is too old to be completed; rebuilding it from the start", partition
            )
            store.wipe()
        stored = store.positions()
        if any(stored.get(tp.topic, begins[tp]) < begins[tp] or stored.get(tp.topic, 0) > ends[tp] for tp in tables):
            log.warning(
                "local state of partition %d lies outside its changelog; rebuilding it from the start", partition
            )
            store.wipe()
            stored = {}
        for tp in tables:
            consumer.seek(tp, stored.get(tp.topic, begins[tp]))
        return await _read_to(consumer, store, tables, ends, stall_s)
    finally:
        await consumer.stop()


async def _read_to(
    consumer: AIOKafkaConsumer,
    store: TaskStore,
    tables: Mapping[TopicPartition, str],
    ends: Mapping[TopicPartition, int],
    stall_s: float,
) -> int:
    rows, progressed, started = 0, time.monotonic(), time.monotonic()
    behind = [tp for tp in tables if await consumer.position(tp) < ends[tp]]
    while behind:
        fetched = await consumer.getmany(*behind, timeout_ms=200, max_records=20_000)
        for tp, records in fetched.items():
            store.restore(tables[tp], [(r.key, r.value) for r in records], records[-1].offset + 1, changelog=tp.topic)
            faults.point("during-recovery")
            rows += len(records)
        still = [tp for tp in behind if await consumer.position(tp) < ends[tp]]
        if fetched or still != behind:
            progressed = time.monotonic()
        elif time.monotonic() - progressed > stall_s:
            raise TimeoutError(f"the changelogs {[tp.topic for tp in still]} gave nothing for {stall_s:.0f} s")
        behind = still
    if rows:
        log.info("recovered %d rows in %.2f s", rows, time.monotonic() - started)
    return rows
