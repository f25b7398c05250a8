"""The item index and the model as they stood at a micro-batch: their topics, applied up to the offsets pinned."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from streamer.replay.errors import ReplayRefused
from streamer.replay.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka import AIOKafkaConsumer

    from agents.roles.user import UserRole


class Pinned:
    """Follows the replicas' topics in step with one task's journal.

    ``role`` holds the index and the model. It is another one after ``move`` said so: a task that moved to a worker
    whose replicas lagged behind is pinned to earlier offsets than before, and a replica only goes forward.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        physical: Callable[[str], str],
        make_role: Callable[[], UserRole],
        *,
        lag_kept_ms: Mapping[str, int],
        age_ms: int,
    ) -> None:
        """``begins``: where the topics' partitions begin. ``lag_kept_ms``: by logical topic, how long nothing is
        compacted away; ``age_ms``: how far back the first micro-batch lies.
        """
        self._consumer, self._begins, self._physical, self._make_role = consumer, begins, physical, make_role
        self._lag_kept_ms, self._age_ms = lag_kept_ms, age_ms
        self.rows = 0
        self._made_ms = int(time.time() * 1000)
        #: By topic, the offset after the last record that is old enough to be compacted.
        self._old: dict[str, int] = {}
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.role = self._make_role()
        self._logs: dict[tuple[str, int], Log] = {}
        self._applied: dict[tuple[str, int], int] = {}

    async def move(self, pinned: Mapping[str, list[int]]) -> bool:
        """Bring the replicas to these offsets. True if ``role`` is another one now.

        Raises ``ReplayRefused`` if what was there then is there no more.
        """
        wanted = {(topic, partition): at for topic, ats in pinned.items() for partition, at in enumerate(ats)}
        anew = any(at < self._applied.get(place, 0) for place, at in wanted.items())
        if anew:
            self._begin_anew()
        for (topic, partition), at in wanted.items():
            if self._applied.get((topic, partition)) != at:
                await self._apply(topic, partition, at)
        return anew

    def whole_from(self, topic: str) -> int:
        """From which offset on nothing can have been compacted away of a topic of one partition that was followed."""
        log = self._logs.get((topic, 0))
        return 0 if log is None or log.hole is None else self._old.get(topic, 0)

    async def _apply(self, topic: str, partition: int, end: int) -> None:
        log = self._logs.get((topic, partition))
        if log is None:
            log = self._logs[topic, partition] = self._open(topic, partition)
        apply, place = self.role.known.appliers[topic], self.role.known.places.get(topic)
        while records := await log.until(end):
            for record in records:
                if place is not None:
                    place(record.offset)
                    if record.timestamp < self._made_ms - self._lag_kept_ms.get(topic, 0):
                        self._old[topic] = record.offset + 1
                apply(record.key, record.value)
            self.rows += len(records)
        if place is not None:
            place(end)
        self._applied[topic, partition] = end
        if log.hole is not None and log.hole < end and self._lag_kept_ms.get(topic, 0) < self._age_ms:
            raise ReplayRefused(
                f"{log.partition.topic}:{partition}:{log.hole} was compacted away, so that the {topic} of "
                f"{self._age_ms / 3_600_000:.1f} hours ago cannot be told from a later one. What was written within "
                f"min.compaction.lag.ms is kept whole, which is {self._lag_kept_ms.get(topic, 0)} on this topic: "
                "topics.replay_window_hours sets it for topics created from now on"
            )

    def _open(self, topic: str, partition: int) -> Log:
        place = TopicPartition(self._physical(topic), partition)
        if place not in self._begins:
            raise ReplayRefused(
                f"the journal pins partition {partition} of {place.topic}, which has fewer now: it was created anew"
            )
        if self._begins[place]:
            raise ReplayRefused(
                f"{place.topic}:{partition} begins at offset {self._begins[place]}, not at 0: records of this "
                "compacted topic were deleted, and what they said cannot be told any more (its cleanup.policy must be "
                "compact alone)"
            )
        return Log(self._consumer, place, 0)
