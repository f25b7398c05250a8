"""What a replay will fold, and the refusal of one for which something is missing, before anything is written."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from agents.clients import partitions_of
from agents.roles.user import UserRole
from agents.topic_admin import TopicError, describe, problems
from agents.topics import BY_NAME, REPLICATED, USER_TABLES, changelog
from streamer.replay.errors import ReplayRefused
from streamer.replay.journal import Outline, rows
from streamer.replay.log import Log
from streamer.replay.refold import kept_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaConsumer

    from streamer.replay.journal import Row
    from streamer.settings import Settings

FOREVER_MS: Final = 1 << 62

#: How many offsets before a time its row is looked for.
ROWS_BACK: Final = 64


@dataclass(frozen=True, slots=True)
class Span:
    """The stretch of one task's journal to be folded: from ``begin`` to ``end`` (offsets), and what it asks for.

    ``tables``: by table, where its changelog was at ``begin``; empty if the task itself begins there.
    """

    partition: int
    begin: int
    end: int
    outline: Outline
    tables: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a replay. ``begins``: where every partition read begins now; ``lag_kept_ms``: by compacted topic."""

    spans: list[Span]
    begins: Mapping[TopicPartition, int]
    lag_kept_ms: Mapping[str, int]
    planner: Planner
    made_ms: int = field(default_factory=lambda: int(time.time() * 1000))

    @property
    def records(self) -> int:
        """Records to be folded."""
        return sum(span.outline.records for span in self.spans)


async def make_plan(consumer: AIOKafkaConsumer, settings: Settings, *, from_ms: int, to_ms: int) -> Plan:
    """Read the journal up to where it ends now, or to what was written before ``to_ms``.

    With ``from_ms``, a span begins just before then, with the tables as they were; otherwise where its task began.
    Raises ``ReplayRefused`` if the journal does not reach back so far, or if inputs it names are gone; ``TopicError``
    if the topics do not fit the settings.
    """
    changelogs = [changelog("user", table) for table in USER_TABLES]
    names = ["journal", *UserRole.inputs, *REPLICATED, *changelogs]
    states = await describe(settings.kafka.client_kwargs(), settings.topics, topics=[BY_NAME[name] for name in names])
    if found := problems(states, settings.topics):
        raise TopicError("; ".join(found))
    partitions = await partitions_of(consumer, [settings.topics.physical(name) for name in names])
    begins: dict[TopicPartition, int] = await consumer.beginning_offsets(partitions)
    journals = [TopicPartition(settings.topics.physical("journal"), n) for n in range(settings.topics.partitions)]
    ends: dict[TopicPartition, int] = await consumer.end_offsets(journals)
    kept = {state.spec.name: int(state.configs.get("min.compaction.lag.ms", 0)) for state in states}
    retained = {state.spec.name: state.configs.get("retention.ms", "?") for state in states}
    planner = Planner(consumer, settings, begins, ends, retained, to_ms)
    spans = [await planner.span(place, from_ms) for place in journals]
    return Plan(spans, begins, kept, planner)


class Planner:
    """Makes the spans, and again from the beginning where one from the middle turns out not to be possible."""

    def __init__(  # noqa: PLR0917 - what was asked of the cluster, in the order it was asked
        self,
        consumer: AIOKafkaConsumer,
        settings: Settings,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        retained: Mapping[str, str],
        to_ms: int,
    ) -> None:
        self._consumer, self._settings, self._begins, self._ends = consumer, settings, begins, ends
        self._retained, self._to_ms = retained, to_ms

    async def span(self, place: TopicPartition, from_ms: int) -> Span:
        """The span of one partition of the journal."""
        start = await self._before(place, from_ms) if from_ms else None
        if start is not None and start.commit.tables:
            return await self._checked(place, start.offset, start.commit.tables)
        return await self.from_the_beginning(place)

    async def from_the_beginning(self, place: TopicPartition) -> Span:
        """The span from where the task began. Raises ``ReplayRefused`` if the journal does not reach back so far."""
        begin, window_h = self._begins[place], self._settings.topics.replay_window_hours
        if begin:
            raise ReplayRefused(
                f"{place.topic}:{place.partition} begins at offset {begin}, not at 0: what task "
                f"{place.partition} folded first is not known any more. The journal is kept for its retention.ms, now "
                f"{self._retained['journal']}. A replay may begin later, with the tables as they were then: --from "
                f"with a time within topics.replay_window_hours, now {window_h}"
            )
        return await self._checked(place, 0, {})

    async def _before(self, place: TopicPartition, from_ms: int) -> Row | None:
        """The last row written before ``from_ms``; ``None`` if there is none near."""
        found = (await self._consumer.offsets_for_times({place: from_ms}))[place]
        middle = self._ends[place] if found is None else found.offset
        # A row and its transaction's marker are two offsets, and those of an aborted one take as many.
        begin = max(self._begins[place], middle - ROWS_BACK)
        last = None
        async for row in rows(Log(self._consumer, place, begin), self._ends[place], self._to_ms):
            if row.timestamp >= from_ms:
                break
            last = row
        return last

    async def _checked(self, place: TopicPartition, begin: int, tables: Mapping[str, int]) -> Span:
        outline = Outline()
        async for row in rows(Log(self._consumer, place, begin), self._ends[place], self._to_ms):
            outline.add(row)
        for topic, first in outline.first.items():
            name = self._settings.topics.physical(topic)
            if first < (there := self._begins[TopicPartition(name, place.partition)]):
                raise ReplayRefused(
                    f"{name}:{place.partition}:{first} was folded by task {place.partition} and is gone: the partition "
                    f"begins at offset {there}. {kept_by(topic)}, now retention.ms={self._retained[topic]}"
                )
        return Span(place.partition, begin, self._ends[place], outline, tables)
