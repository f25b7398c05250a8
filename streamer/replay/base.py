"""A task's tables as they were at a journal row: its changelogs, read up to where the row says they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from agents.topics import changelog
from streamer.replay.errors import ReplayRefused
from streamer.replay.log import Log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from aiokafka import AIOKafkaConsumer

    from agents.topics import TopicSettings

Pairs = list[tuple[bytes, bytes | None]]


class Changelogs:
    """The changelogs of one user task, as of earlier offsets."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        topics: TopicSettings,
        partition: int,
        *,
        begins: Mapping[TopicPartition, int],
        lag_kept_ms: Mapping[str, int],
    ) -> None:
        """``begins``: where partitions begin; ``lag_kept_ms``: by logical topic, how long nothing is compacted away."""
        self._consumer, self._topics, self._partition = consumer, topics, partition
        self._begins, self._lag_kept_ms = begins, lag_kept_ms

    async def read(self, table: str, end: int, *, age_ms: int) -> AsyncIterator[tuple[Pairs, int]]:
        """(key, row or ``None``) pairs below ``end``, in order, some at a time, and the next offset after them.

        ``age_ms``: how long ago the changelog ended there. Raises ``ReplayRefused`` once all is read, if rows that were
        the newest then may have been compacted away.
        """
        name = changelog("user", table)
        place = TopicPartition(self._topics.physical(name), self._partition)
        begin = self._begins[place]
        if begin:
            raise ReplayRefused(f"{place.topic}:{place.partition} begins at offset {begin}: rows of it were deleted")
        log = Log(self._consumer, place, 0)
        while some := await log.until(end):
            yield [(record.key, record.value) for record in some], some[-1].offset + 1
        kept_ms = self._lag_kept_ms.get(name, 0)
        if log.hole is not None and log.hole < end and kept_ms < age_ms:
            raise ReplayRefused(
                f"{place.topic}:{place.partition}:{log.hole} was compacted away, so that the table of "
                f"{age_ms / 3_600_000:.1f} hours ago cannot be told from a later one. What was written within "
                f"min.compaction.lag.ms is kept whole, now {kept_ms} on this topic; topics.replay_window_hours sets it "
                "for topics created from now on"
            )
