"""How a task's outputs and its input offsets become one fact.

``ExactlyOnce`` puts everything into one Kafka transaction whose id belongs to the task, so that a new owner fences a
zombie. ``AtLeastOnce`` is for brokers without transactions: outputs first, then offsets; a crash in between
sends some outputs again, with the same ``candidate_id``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiokafka.producer.producer
import aiokafka.producer.sender
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.structs import OffsetAndMetadata

from agents import faults
from agents.clients import paced

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agents.outbox import Outbox

#: One batch may hold this many bytes; larger single records still go, alone.
BATCH_BYTES = 1 << 20
REQUEST_BYTES = 4 << 20

#: A partition is made part of the next transaction ahead of it if one of so many before wrote to it.
AHEAD_COMMITS: Final = 8

Offsets = dict[tuple[str, int], int]


class Committer(Protocol):
    """Sends an outbox and commits input offsets; one a task."""

    async def start(self) -> None:
        """Connect; with transactions, fence the task's earlier owner and abort what it left open."""

    def ahead(self) -> None:
        """Begin what can be done before rows and offsets are known. ``commit`` is sure to follow, and soon."""

    async def commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int]) -> Offsets:
        """Send and commit. Returns the next offset of each partition written. Raises when it did not commit."""

    async def close(self) -> None:
        """Disconnect. An open transaction is aborted."""


async def _send(producer: AIOKafkaProducer, outbox: Outbox) -> list[tuple[tuple[str, int], int, Any]]:
    sent: list[tuple[tuple[str, int], int, Any]] = []
    for (topic, partition), rows in outbox:
        builder, count = producer.create_batch(), 0
        now_ms, none = int(time.time() * 1000), list[tuple[str, bytes]]()
        for key, value, headers, timestamp in rows:
            # append() answers None when the batch is full; the first record of a batch always fits.
            told, at = list(headers) if headers else none, timestamp or now_ms
            while builder.append(key=key, value=value, headers=told, timestamp=at) is None:
                future = await producer.send_batch(builder, topic, partition=partition)
                sent.append(((topic, partition), count, future))
                builder, count = producer.create_batch(), 0
            count += 1
        sent.append(((topic, partition), count, await producer.send_batch(builder, topic, partition=partition)))
        faults.sent(topic)
    return sent


async def _delivered(sent: list[tuple[tuple[str, int], int, Any]]) -> Offsets:
    ends: Offsets = {}
    metadata = await asyncio.gather(*(future for _, _, future in sent))
    for (partition, count, _), meta in zip(sent, metadata, strict=True):
        ends[partition] = max(ends.get(partition, 0), meta.offset + count)
    return ends


def _producer(client: Mapping[str, Any], compression: str, **transactional: Any) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        **client,
        **transactional,
        acks="all",
        max_batch_size=BATCH_BYTES,
        max_request_size=REQUEST_BYTES,
        compression_type=None if compression == "none" else compression,
        retry_backoff_ms=20,
    )
    paced(producer.client)
    return producer


class AheadTransactions(TransactionManager):
    """aiokafka's own, which can be told of a consumer group before its offsets are known."""

    group_ahead: str | None = None

    def consumer_group_to_add(self) -> str | None:
        """The group that is to be made part of the transaction, if there is one."""
        if self._txn_consumer_group is not None:
            return None
        return super().consumer_group_to_add() or self.group_ahead

    def complete_transaction(self) -> None:
        """The transaction is through; the next one has nothing ahead."""
        self.group_ahead = None
        super().complete_transaction()


class ExactlyOnce:
    """One transactional producer of one task.

    Raises whatever aiokafka raises: a fenced or failed task must not go on, so the caller ends the process.
    """

    def __init__(
        self,
        client: Mapping[str, Any],
        *,
        transactional_id: str,
        group: str,
        timeout_ms: int,
        compression: str = "none",
    ) -> None:
        # After a commit the broker answers CONCURRENT_TRANSACTIONS until the markers are written; aiokafka then sleeps
        # 20 ms, which was most of the commit time (26-32 ms p50, against 5-15 ms at 1 ms).
        aiokafka.producer.sender.BACKOFF_OVERRIDE = 0.001
        aiokafka.producer.producer.TransactionManager = AheadTransactions
        self._group = group
        self._begun = False
        self._written: deque[set[tuple[str, int]]] = deque(maxlen=AHEAD_COMMITS)
        self._producer = _producer(
            client, compression, transactional_id=transactional_id, transaction_timeout_ms=timeout_ms
        )

    async def start(self) -> None:
        """Start the producer: InitProducerId fences the earlier owner before this returns."""
        await self._producer.start()

    def ahead(self) -> None:
        """Begin the transaction, and have the broker told of the partitions it will likely write to, and of the group.

        That is two of its five rounds, which pass while a batch is folded. No row is sent, so that no reader is held
        up; a partition that gets none after all gets a marker. Like ``commit``, never while another is under way.
        """
        transactions: AheadTransactions = self._producer._txn_manager  # noqa: SLF001 - no public way to say it early
        transactions.begin_transaction()
        transactions.group_ahead = self._group
        for topic, partition in set[tuple[str, int]]().union(*self._written):
            transactions.maybe_add_partition_to_txn(TopicPartition(topic, partition))
        self._begun = True

    async def commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int]) -> Offsets:
        """One transaction: every row of the outbox and the input offsets, or nothing."""
        if not self._begun:
            await self._producer.begin_transaction()
        self._written.append({partition for partition, _ in outbox})
        sent = await _send(self._producer, outbox)
        faults.point("before-offsets")
        if offsets:
            await self._producer.send_offsets_to_transaction(
                {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}, self._group
            )
        faults.point("after-offsets")
        ends = await _delivered(sent)
        faults.point("before-commit")
        await self._producer.commit_transaction()
        self._begun = False
        return ends

    async def close(self) -> None:
        """Stop the producer."""
        await self._producer.stop()


class AtLeastOnce:
    """An idempotent producer without transactions. ``commit_offsets`` commits for the consumer group."""

    def __init__(
        self,
        client: Mapping[str, Any],
        *,
        commit_offsets: Callable[[Mapping[tuple[str, int], int]], Awaitable[None]],
        compression: str = "none",
    ) -> None:
        self._commit_offsets = commit_offsets
        self._producer = _producer(client, compression)

    async def start(self) -> None:
        """Connect. Nothing is fenced in this mode."""
        await self._producer.start()

    def ahead(self) -> None:
        """Nothing: without a transaction there is nothing to tell of beforehand."""

    async def commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int]) -> Offsets:
        """Send all rows, wait until they are acknowledged, then commit the offsets."""
        ends = await _delivered(await _send(self._producer, outbox))
        if offsets:
            await self._commit_offsets(offsets)
        return ends

    async def close(self) -> None:
        """Stop the producer."""
        await self._producer.stop()
