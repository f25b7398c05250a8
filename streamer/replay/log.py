"""One partition of a topic, read committed, record by record and in order; and what compaction took out of it.

A consumer would do for the records. But whether an offset is absent because a transaction marker lies there or because
the record was compacted away, only the batches tell: a marker has a batch of its own, and what is compacted away leaves
a hole between two batches or in one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import KafkaError, NoError, OffsetOutOfRangeError, RecordTooLargeError, for_code
from aiokafka.protocol.fetch import FetchRequest

from agents.header_names import Records
from streamer.replay.errors import ReplayRefused

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

#: The largest record is 3 MiB; a broker gives the first batch whole in any case.
FETCH_BYTES: Final = 1 << 20
MAX_WAIT_MS: Final = 100
RETRY_S: Final = 0.1
STALL_S: Final = 30.0


class _Batches(Records):
    """The batches of one answer, noted down as they are handed out."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(answer)
        self.spans: list[tuple[int, int, bool]] = []

    def next_batch(self) -> Any:
        """The next batch; its offsets and whether it is a marker go into ``spans``."""
        batch = super().next_batch()
        if batch is not None:
            self.spans.append((batch.base_offset, batch.next_offset, bool(batch.is_control_batch)))
        return batch


class Log:
    """Reads a partition from ``begin``. ``position`` is the next offset to be handed out.

    ``hole`` is the first offset that is there no more although the log goes on behind it, ``None`` if there is none so
    far. Of records of an aborted transaction it cannot tell; they are passed over and are no hole.
    """

    def __init__(self, consumer: AIOKafkaConsumer, partition: TopicPartition, begin: int) -> None:
        self._client = consumer._client  # noqa: SLF001 - the connections, with TLS and SASL set up, and the metadata
        self.partition = partition
        self.begin = self._fetched = begin
        self.hole: int | None = None
        self._records: deque[ConsumerRecord[Any, Any]] = deque()

    @property
    def position(self) -> int:
        """The next offset that may hold something."""
        return self._records[0].offset if self._records else self._fetched

    async def until(self, end: int) -> list[ConsumerRecord[Any, Any]]:
        """The next records below ``end``, some of them; none once all are read.

        Raises ``ReplayRefused`` if they were removed meanwhile, ``TimeoutError`` if the broker gives nothing.
        """
        records = self._records
        asked = time.monotonic()
        while not records and self._fetched < end:
            before = self._fetched
            await self._fetch()
            if self._fetched == before and time.monotonic() - asked > STALL_S:
                raise TimeoutError(f"{self.partition} gave nothing from offset {before} on for {STALL_S:.0f} s")
        found = []
        while records and records[0].offset < end:
            found.append(records.popleft())
        return found

    async def exactly(self, first: int, last: int) -> list[ConsumerRecord[Any, Any]]:
        """The records ``first`` to ``last``, which were folded one after the other; fewer if some are gone."""
        found: list[ConsumerRecord[Any, Any]] = []
        while len(found) <= last - first and (some := await self.until(last + 1)):
            found += some
        return found

    async def _fetch(self) -> None:
        tp, position = self.partition, self._fetched
        leader = self._client.cluster.leader_for_partition(tp)
        try:
            if leader is None or leader < 0:
                raise for_code(5)(tp)  # no leader: ask again
            request = FetchRequest(
                MAX_WAIT_MS,
                1,
                FETCH_BYTES,
                READ_COMMITTED,
                [(tp.topic, [(tp.partition, position, FETCH_BYTES)])],
            )
            response = await self._client.send(leader, request)
            _, error_code, _, *rest = response.topics[0][1][0]
            if (error := for_code(error_code)) is not NoError:
                raise error(tp)
        except OffsetOutOfRangeError as error:
            raise ReplayRefused(f"{tp.topic}:{tp.partition}:{position} was removed while it was read") from error
        except KafkaError as error:
            if not error.retriable:
                raise
            self._client.force_metadata_update()
            await asyncio.sleep(RETRY_S)
            return
        # Since version 11 of the protocol there is a preferred replica before the records.
        aborted = rest[2] if response.API_VERSION >= 11 else rest[-2]
        self._take(rest[-1], aborted or [], position)

    def _take(self, answer: bytes, aborted: list[tuple[int, int]], position: int) -> None:
        batches = _Batches(answer)
        if answer and not batches.has_next():
            raise RecordTooLargeError(f"{self.partition} has a record after {position} that is not given whole")
        rows = PartitionRecords(self.partition, batches, aborted, position, None, None, True, READ_COMMITTED)
        found = list(rows)
        self._records.extend(found)
        self._fetched = rows.next_fetch_offset
        if self.hole is None:
            self.hole = _first_hole(batches.spans, {r.offset for r in found}, position, aborted=bool(aborted))


def _first_hole(spans: list[tuple[int, int, bool]], there: set[int], position: int, *, aborted: bool) -> int | None:
    """The first offset from ``position`` on for which no batch, or a batch without the record, answers."""
    expected = position
    for base, end, marker in spans:
        if base > expected:
            return expected
        begin = max(base, position)
        if not marker:
            absent = [offset for offset in range(begin, end) if offset not in there]
            # A batch with nothing may be an aborted transaction's; compaction leaves one in part, or none.
            if absent and not (aborted and len(absent) == end - begin):
                return absent[0]
        expected = max(expected, end)
    return None
