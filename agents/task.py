"""One task: a partition number across the co-partitioned input topics of a role.

The loop cuts micro-batches in order, hands each to the Faust agent and waits until it is folded, and commits once an
interval; while one interval's transaction is under way, the next interval's events are folded. Nothing is written to
RocksDB before the transaction that carries its changelog has committed, so a process killed at any step leaves no
uncommitted state behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from typing import TYPE_CHECKING, Any

import msgspec

from agents import faults
from agents.batch import Batch, without_tick
from agents.clock import steady_ms, ticking_ms
from agents.merge import Merge, size_of
from agents.outbox import positions_after, produced_times, runs
from agents.pace import Pace
from agents.positions import check_end, check_group, check_units
from agents.recovery import BUSY_S, restore
from agents.role import NEVER
from streamer.core.record import tick

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from agents.outbox import Outbox
    from agents.role import Role, TaskContext, Work
    from agents.settings import RuntimeSettings
    from agents.transaction import Committer
    from streamer.core.record import Record

log = logging.getLogger(__name__)

TASKS_TABLE = "tasks"
#: An idle task looks around so often, whether or not something woke it.
LOOK_S = 1.0


class Task:
    """Buffers, tables, producer and commit loop of one partition number."""

    def __init__(
        self,
        role: Role,
        context: TaskContext,
        committer: Committer,
        settings: RuntimeSettings,
        *,
        changelogs: Mapping[str, str],
        hand_over: Callable[[Batch], Awaitable[None]],
        fail: Callable[[str, BaseException], None],
    ) -> None:
        self.role, self.context, self.settings = role, context, settings
        self.name = f"{role.name}-{context.partition}"
        self.merge = Merge(role.inputs, first=role.first, wait_s=settings.merge_wait_ms / 1000)
        self.progressed_at = time.monotonic()
        self._committer, self._changelogs = committer, changelogs
        self._changelog_topics = frozenset(changelogs.values())
        self._hand_over, self._fail = hand_over, fail
        #: By topic, the offset that is to be fed next, and the least that it goes back to.
        self.next_offsets: dict[str, int] = {}
        self._floors: dict[str, int] = {}
        self._work: Work | None = None
        self._journal: list[Any] = []
        self._dirty = False
        #: Whether the last batch was cut short by its size: what is left is folded before a commit.
        self._cut_short = False
        #: Whether the next transaction was begun ahead of its rows: then it is committed as soon as they are folded.
        self._ahead = False
        self._folded_bytes = 0
        self._pace = Pace(settings, role.commit_interval_s, context.partition)
        #: When the task began to wait for events, and when one was applied last (monotonic), and whether the last tick
        #: left timers that are due, or changes to tell of.
        self._began_at = time.monotonic()
        self._applied_at = -math.inf
        self._timers_left = False
        self._produced_ms: list[int] = []
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[None] | None = None

    # -- life cycle -------------------------------------------------------------------------------------------

    async def fence(self) -> None:
        """End the transactions of whoever owned the task before: from now on only this one can commit."""
        await self._committer.start()

    async def recover(self, client: Mapping[str, Any]) -> None:
        """Bring the tables up to their changelogs' ends. ``fence`` comes before."""
        context = self.context
        await restore(context.store, self._changelogs, context.partition, client, metrics=context.metrics)

    def begin(self, committed: Mapping[str, int], bounds: Mapping[str, tuple[int, int]]) -> None:
        """Check the positions, and begin the role's work. ``recover`` comes before.

        By logical topic, ``committed`` holds the group's offsets, and ``bounds`` where each input begins and ends.
        Raises ``PositionsDisagreeError`` when the task's row names other positions than the group, or one beyond an
        input's end: then somebody reset one of them, and only a replay can tell what is right. Raises
        ``UnitsChangedError`` when the settings are not those that its rows were written with.
        """
        context = self.context
        row = context.store.table(TASKS_TABLE).get(str(context.partition))
        if row is not None:
            check_units(self.name, row.units, self.role.units)
            context.row = msgspec.structs.replace(row, positions=dict(row.positions))
        context.row.units = dict(self.role.units)
        if self.settings.guarantee == "exactly_once":
            check_group(self.name, context.row.positions, committed, known=row is not None)
        for topic, (begin, end) in bounds.items():
            position = context.row.positions.get(topic, begin)
            check_end(self.name, topic, position, end)
            self.next_offsets[topic] = self._floors[topic] = position
            if begin > position:
                self.lost_before(topic, begin)
                context.row.positions[topic] = begin
        self._work = self.role.open(context)

    def start(self) -> None:
        """Begin (or go on) cutting batches; one that does so already goes on. Two loops would fold past each other."""
        if self._loop is not None:
            return
        self._stopping.clear()
        self.progressed_at = self._began_at = time.monotonic()
        self._loop = asyncio.get_running_loop().create_task(self._run(), name=self.name)

    async def pause(self) -> None:
        """Finish the batch in hand, commit it, drop what was only buffered. Tables and producer stay open."""
        self._stopping.set()
        self._wake.set()
        if self._loop is not None:
            await self._loop
            self._loop = None
        self.merge.clear()
        applied = self.context.row.positions
        self.next_offsets = {topic: max(floor, applied.get(topic, 0)) for topic, floor in self._floors.items()}

    async def close(self, *, commit: bool = True) -> None:
        """Pause if ``commit``, then give up producer and tables."""
        if commit:
            await self.pause()
        elif self._loop is not None:
            self._loop.cancel()
        await self._committer.close()
        self.context.store.close()

    # -- input ------------------------------------------------------------------------------------------------

    def has_room(self, topic: str) -> bool:
        """Whether more records of ``topic`` may be fetched."""
        merge, settings = self.merge, self.settings
        return (
            not self._stopping.is_set()
            and merge.buffered(topic) < settings.buffer_records
            and merge.buffered_bytes(topic) < settings.buffer_bytes
        )

    def feed(self, topic: str, start: int, position: int, records: list[Record]) -> bool:
        """Take records fetched from ``start`` up to ``position``.

        False, and nothing taken, if they do not begin where the task goes on (``next_offsets``).
        """
        if self._stopping.is_set():
            return True
        if start != self.next_offsets[topic]:
            return False
        self.next_offsets[topic] = position
        self.merge.feed(topic, records)
        return True

    def lost_before(self, topic: str, begin: int) -> None:
        """What lay between the task's position in ``topic`` and ``begin`` is deleted: say so, and go on from there."""
        context, position = self.context, self.next_offsets[topic]
        log.error(
            "task %s-%d stands at offset %d of %s, which begins at %d: up to %d records were deleted before they were "
            "read. They are lost to it; see deploy/runbook.md, StreamerInputLost",
            self.role.name, context.partition, position, topic, begin, begin - position,
        )  # fmt: skip
        context.metrics.input_lost(topic, begin - position)
        self.next_offsets[topic] = self._floors[topic] = begin

    @property
    def unsettled(self) -> bool:
        """Whether something was folded that is not committed yet."""
        return self._dirty or self._committing is not None

    def fetched(self) -> None:
        """The consumer has looked: what it found was fed."""
        self._pace.fetched(time.monotonic())
        self._wake.set()

    def looks_in(self) -> float:
        """Seconds until the consumer should look; before that, what it finds is out no sooner."""
        return self._pace.looks_in(time.monotonic())

    @property
    def hurries(self) -> bool:
        """Whether a commit only waits for what came just before it."""
        return self.looks_in() == 0.0 and (self._dirty or len(self.merge) > 0)

    def fold(self, records: list[Record]) -> None:
        """Fold a micro-batch into tables and outbox. Runs inside the agent, synchronously."""
        assert self._work is not None
        context, work = self.context, self._work
        if not self._ahead and self._committing is None and self._commits(0):
            # This batch is the last of its interval: the broker is told what is to come while it is folded.
            self._committer.ahead()
            self._ahead = True
        started, worked = time.perf_counter(), time.thread_time()
        counts = work.process(records)
        faults.point("after-state")
        spent, worked = time.perf_counter() - started, time.thread_time() - worked
        events = without_tick(records)
        context.row.positions.update(positions_after(events))
        self._produced_ms += produced_times(events)
        self._folded_bytes += sum(map(size_of, events))
        self._timers_left = len(events) < len(records) and (work.due_ms <= context.row.now or work.changes > 0)
        if counts.get("applied") and any(record.topic not in self.role.first for record in events):
            self._applied_at = time.monotonic()
        if self.role.journaled:
            replicas = context.replicas
            entry: dict[str, Any] = {
                "runs": [],
                "counts": counts,
                "replicas": replicas.positions() if replicas is not None else {},
            }
            runs(records, entry["runs"])
            self._journal.append(entry)
        self._dirty = True
        self._pace.took(max(1, len(events) + work.reached), spent, worked)
        context.metrics.batch(len(events), spent)

    # -- the loop ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                batch = self._cut()
                if batch:
                    await self._process(batch)
                if self._due():
                    await self._begin_commit()
                if batch:
                    await asyncio.sleep(0)
                else:
                    await self._idle()
            if self._dirty:
                await self._begin_commit()
            await self._settled()
        except asyncio.CancelledError:
            raise
        except BaseException as exc:  # every failure has one way out: the process ends, its supervisor restarts it
            self._fail(f"task {self.name}", exc)
            raise

    async def _process(self, records: list[Record]) -> None:
        batch = Batch(self, records)
        handing = asyncio.ensure_future(self._hand_over(batch))
        handing.add_done_callback(batch.handed)
        stopping = asyncio.ensure_future(self._stopping.wait())
        either: set[asyncio.Future[Any]] = {batch.done, stopping}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if batch.done.done():
            await handing
            await batch.done
            return
        # Flow is suspended and the agent will not see the batch: take it back unfolded.
        batch.withdrawn = True
        handing.cancel()
        batch.done.cancel()
        self.merge.put_back(without_tick(records))

    def _cut(self) -> list[Record]:
        """The next micro-batch, in order, begun by a tick if timers are due or there are changes to tell of; nothing
        while it is not worth folding.
        """
        now = time.monotonic()
        if not self._pace.folds(now, self._waiting(), committing=self._committing is not None):
            return []
        partition = self.context.partition
        most = self._pace.batch(len(self.merge))
        records = self.merge.cut(most, now)
        self._cut_short = len(records) == most and len(self.merge) > 0
        changes = self._changes(now)
        if self._timers_due or changes:
            return [tick(partition, self.context.row.now, changes), *records]
        if not records and self._tick_in(now) == 0.0:
            assert self._work is not None
            return [tick(partition, ticking_ms(), self._work.changes)]
        return records

    def _waiting(self) -> int:
        """Records that wait; timers that are left from a tick, of which nobody knows how many, are a whole batch."""
        return len(self.merge) + (self.settings.max_batch_events if self._timers_left else 0)

    def _due(self) -> bool:
        """Whether to commit now."""
        if not self._dirty:
            return False
        held = self._folded_bytes + self.context.outbox.size_bytes + self.context.store.written_bytes
        return self._ahead or self._commits(held)

    def _commits(self, held_bytes: int) -> bool:
        return self._pace.commits(
            time.monotonic(),
            self._waiting(),
            held_bytes,
            committing=self._committing is not None,
            cut_short=self._cut_short,
        )

    async def _idle(self) -> None:
        now = time.monotonic()
        waits = [LOOK_S]
        if (self._dirty or len(self.merge) or self._timers_due or self._changes(now)) and self._committing is None:
            waits += filter(None, [self._pace.due_in(now)])
        if (left := self.merge.wait_left(now)) is not None:
            waits.append(left)
        if (left := self._tick_in(now)) is not None:
            waits.append(left)
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), timeout=max(0.001, min(waits)))

    # -- the clock --------------------------------------------------------------------------------------------

    @property
    def _timers_due(self) -> bool:
        """Whether the stream time has reached a timer."""
        return self._work is not None and self._work.due_ms <= self.context.row.now

    def _changes(self, now: float) -> int:
        """Up to where the catalog's changes are to be told at the stream's time; 0: there are none, or that time stands
        still, so that it would say nothing of when they are told: they wait for the next event, or for the clock.
        """
        idle_s = self.settings.idle_tick_ms / 1000 or math.inf
        if self._work is None or not now - self._applied_at < idle_s:
            return 0
        return self._work.changes

    def _tick_in(self, now: float) -> float | None:
        """Seconds until the wall clock is to tick, if nothing comes till then; ``None``: that cannot be told.

        Records of which none is applied, such as an hour of duplicates, do not keep the clock from ticking, nor do
        those of topics that are read ahead of the others, which tell no time. All others do, also such as do not move
        the stream's time: of a stream that lags the clock would soon be all that tells it.
        """
        assert self._work is not None
        idle_ms, due_ms = self.settings.idle_tick_ms, self._work.due_ms
        changes = self._work.changes > 0
        if (due_ms == NEVER and not changes) or not idle_ms or not self.merge.drained:
            return None
        idle_from = max(self._began_at, self._applied_at)
        return max(0.0, idle_from + idle_ms / 1000 - now, 0.0 if changes else (due_ms - ticking_ms()) / 1000)

    def timers_late_s(self) -> float:
        """For how long the earliest timer has been due and has not fired, seconds, by the clock that it fires by."""
        if self._work is None or self._work.due_ms == NEVER:
            return 0.0
        by_wall = self.settings.idle_tick_ms and self.merge.drained
        now_ms = max(self.context.row.now, ticking_ms() if by_wall else 0)
        return max(0.0, (now_ms - self._work.due_ms) / 1000)

    # -- the commit -------------------------------------------------------------------------------------------

    async def _begin_commit(self) -> None:
        """Hand what was folded to a transaction, and go on folding meanwhile. One is under way at most."""
        await self._settled()
        worked = time.thread_time()
        outbox, offsets = self._stage()
        produced_ms, self._produced_ms, self._dirty, self._folded_bytes = self._produced_ms, [], False, 0
        self._ahead = False
        self._pace.staged(time.monotonic(), time.thread_time() - worked)
        self._committing = asyncio.get_running_loop().create_task(self._commit(outbox, offsets, produced_ms))

    async def _settled(self) -> None:
        """Wait for the transaction under way, if there is one."""
        if self._committing is not None:
            await self._committing

    def _stage(self) -> tuple[Outbox, dict[tuple[str, int], int]]:
        """All rows of the interval, and the input offsets they follow from. Nothing folded later is among them."""
        assert self._work is not None
        context = self.context
        self._work.before_commit()
        context.store.table(TASKS_TABLE).put(str(context.partition), context.row)
        for table, key, value in context.store.take_changes():
            context.outbox.add(self._changelogs[table], context.partition, key, value)
        if self._journal:
            entries, self._journal = self._journal, []
            # How far each changelog was before this commit: read up to there, they are the tables it began from.
            tables = {table: context.store.positions().get(topic, 0) for table, topic in self._changelogs.items()}
            row = msgspec.json.encode({"now": context.row.now, "tables": tables, "batches": entries})
            context.outbox.add(context.topic("journal"), context.partition, str(context.partition).encode(), row)
        offsets = {(context.topic(topic), context.partition): offset for topic, offset in context.row.positions.items()}
        return context.outbox.take(), offsets

    async def _commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int], produced_ms: Sequence[int]) -> None:
        context = self.context
        started = time.perf_counter()
        try:
            ends = await self._committer.commit(outbox, offsets)
            faults.point("after-commit")
            positions = {topic: offset for (topic, _), offset in ends.items() if topic in self._changelog_topics}
            while context.store.busy():  # noqa: ASYNC110 - RocksDB tells nobody when it is not any more
                # It would hold the write, and with it this whole process: heartbeats, health pages, all other tasks.
                await asyncio.sleep(BUSY_S)
            faults.point("during-store-write")
            context.store.committed(positions, fresh_ms=steady_ms())
            faults.point("after-store-write")
        except Exception as exc:
            self._fail(f"commit of task {self.name}", exc)
            raise
        finally:
            self._committing = None
            self._wake.set()
        self.progressed_at = time.monotonic()
        context.metrics.commit(time.perf_counter() - started)
        if produced_ms:
            now_ms = time.time() * 1000
            context.metrics.latency([(now_ms - at) / 1000 for at in produced_ms])
