"""One task folded again: the records its journal names, in its order and its batches, through the engine itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.batch import without_tick
from agents.outbox import Outbox, positions_after
from agents.role import TaskContext, TaskRow
from agents.task import TASKS_TABLE
from streamer.core.record import TICK, Record, tick
from streamer.replay.errors import ReplayRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiokafka import ConsumerRecord

    from agents.metrics import Metrics
    from agents.outbox import Row as Sent
    from agents.topics import TopicSettings
    from state.store import TaskStore
    from streamer.replay.journal import Batch, Row
    from streamer.replay.log import Log
    from streamer.replay.pinned import Pinned


@dataclass(slots=True)
class Parted:
    """Where a replay gave something else than the journal says, in words; and in how many commits it did."""

    first: str = ""
    commits: int = 0
    _last: int = field(default=-1, repr=False)

    def note(self, journal_offset: int, where: str) -> None:
        """One more difference, in the commit of that journal row."""
        self.first = self.first or where
        self.commits += journal_offset != self._last
        self._last = journal_offset


class Refold:
    """The tables of one task, and what folding its journal's next rows puts into them.

    ``records`` were folded so far.
    """

    def __init__(
        self,
        partition: int,
        topics: TopicSettings,
        store: TaskStore,
        *,
        inputs: Mapping[str, Log],
        pinned: Pinned,
        metrics: Metrics,
    ) -> None:
        """``inputs``: the input topics' partitions by logical name, where the task began to read them."""
        self._topics, self._inputs, self.pinned = topics, inputs, pinned
        self.records = 0
        self.parted = Parted()
        self.context = TaskContext(
            partition=partition,
            partitions=topics.partitions,
            store=store,
            outbox=Outbox(),
            row=TaskRow(positions={}),
            topic=str,
            metrics=metrics,
            replicas=None,
        )

    async def fold(self, row: Row) -> list[Sent]:
        """Fold what the row names. Gives the candidates as (key, value, headers, timestamp), in order.

        Raises ``ReplayRefused`` if a record it names is gone or was not the next one.
        """
        context, work = self.context, None
        for batch in row.commit.batches:
            moved = await self.pinned.move(batch.replicas)
            if work is None or moved:
                # One a commit, as item deltas gather in it that nobody wants here.
                work = self.pinned.role.open(context)
            records = [record for run in batch.runs for record in await self._run(*run)]
            events = without_tick(records)
            counts = {name: count for name, count in work.process(records).items() if count}
            context.row.positions.update(positions_after(events))
            self.records += len(events)
            if counts != {name: count for name, count in batch.counts.items() if count}:
                self.parted.note(row.offset, f"{self._shown(row, batch)} give {counts}, the journal has {batch.counts}")
        if context.row.now != row.commit.now:
            at = f"{self._shown(row, row.commit.batches[-1])} bring the stream time to {context.row.now}"
            self.parted.note(row.offset, f"{at}, the journal has {row.commit.now}")
        return [
            candidate for (topic, _), some in context.outbox.take() if topic == "push-candidates" for candidate in some
        ]

    def settle(self, meta: Mapping[str, bytes]) -> None:
        """Write what was folded since the last time to the disk, in one piece."""
        context = self.context
        context.store.table(TASKS_TABLE).put(str(context.partition), context.row)
        context.store.take_changes()
        context.store.committed({}, meta=meta)

    async def _run(self, topic: str, first: int, last: int) -> Iterable[Record]:
        if topic == TICK:
            row = self.context.row
            if last and row.watched and row.swept < (whole := self.pinned.whole_from("catalog")):
                raise ReplayRefused(
                    f"task {self.context.partition} had yet to tell of changes of the catalog from offset {row.swept} "
                    f"on, and what was written there before offset {whole} may have been compacted since. What was "
                    "written within min.compaction.lag.ms is kept whole: --from with a later time"
                )
            return [tick(self.context.partition, first, last)]
        log = self._inputs.get(topic)
        if log is None:
            raise ReplayRefused(f"the journal names topic {topic!r}, which this program does not fold")
        skipped = await log.until(first)
        records = await log.exactly(first, last)
        name, partition = log.partition.topic, log.partition.partition
        if skipped:
            raise ReplayRefused(
                f"{name}:{partition}:{skipped[0].offset} was not folded before {name}:{partition}:{first}, says the "
                "journal. It does not begin where the task began, or offsets of the group were reset"
            )
        there = {record.offset for record in records}
        if gone := [offset for offset in range(first, last + 1) if offset not in there]:
            raise ReplayRefused(
                f"{name}:{partition}:{gone[0]} was folded, and is there no more, or lies behind what was folded "
                f"before it. {kept_by(topic)}"
            )
        return (_core_record(topic, record) for record in records)

    def _shown(self, row: Row, batch: Batch) -> str:
        partition = self.context.partition
        runs = ", ".join(
            f"a tick at {a}" if topic == TICK else f"{self._topics.physical(topic)}:{partition}:{a}-{b}"
            for topic, a, b in batch.runs[:3]
        )
        more = f" and {len(batch.runs) - 3} runs more" if len(batch.runs) > 3 else ""
        return f"{runs}{more} (journal:{partition}:{row.offset})"


def kept_by(topic: str) -> str:
    """Which setting of a topic keeps what replay reads."""
    if topic == "preferences":
        return "preferences is compacted; what is younger than its min.compaction.lag.ms is kept whole"
    return f"{topic} is kept for its retention.ms, and records deleted by hand do not come back"


def _core_record(topic: str, record: ConsumerRecord[Any, Any]) -> Record:
    return Record(topic, record.partition, record.offset, record.timestamp, record.key, record.value, record.headers)
