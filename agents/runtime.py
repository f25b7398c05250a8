"""The tasks of one role in one process, and what the Faust application asks of them."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from aiokafka.admin import AIOKafkaAdminClient

from agents import faults
from agents.clients import partitions_of, reader
from agents.io_thread import IoThread, ThreadedCommitter
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.standby import Standbys
from agents.stores import Stores
from agents.task import Task
from agents.topics import BY_NAME
from agents.transaction import AtLeastOnce, ExactlyOnce
from streamer.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping

    from agents.batch import Batch
    from agents.consumer import Fetched
    from agents.metrics import Metrics
    from agents.replicas import Replicas
    from agents.role import Role
    from agents.settings import KafkaSettings, RuntimeSettings
    from agents.topics import TopicSettings
    from agents.transaction import Committer
    from state.settings import StateSettings

log = logging.getLogger(__name__)


class Runtime:
    """Owns a role's tasks: opens those assigned, keeps those retained, closes those lost.

    Feeds them what was fetched. ``fail`` is how whatever cannot go on ends the process.
    """

    def __init__(
        self,
        role: Role,
        *,
        kafka: KafkaSettings,
        topics: TopicSettings,
        runtime: RuntimeSettings,
        state: StateSettings,
        metrics: Metrics,
        fail: Callable[[str, BaseException], None],
    ) -> None:
        self.role, self.settings, self.metrics, self.fail = role, runtime, metrics, fail
        self.group = f"{topics.prefix}{role.name}"
        self.tasks: dict[int, Task] = {}
        self.replicas: Replicas | None = role.replicas()
        self.hand_over: Callable[[Batch], Awaitable[None]] | None = None
        self.commit_offsets: Callable[[Mapping[tuple[str, int], int]], Coroutine[Any, Any, None]] | None = None
        self._kafka, self._topics = kafka, topics
        self._logical = {self.topic(name): name for name in role.inputs}
        self._changelogs = {spec.name: self.topic(f"changelog-{role.name}-{spec.name}") for spec in role.tables}
        self._lag: dict[tuple[str, int], int] = {}
        self._io = IoThread()
        #: Counts revocations and assignments, so that an assignment can tell whether it was overtaken.
        self._assignments = 0
        self._opening: dict[int, asyncio.Task[None]] = {}
        self._stores = Stores(runtime.data_dir / self.group, role.name, role.tables, topics.prefix, state)
        self._standbys = Standbys(self._stores, self._changelogs, kafka.client_kwargs(), metrics)

    def topic(self, name: str) -> str:
        """The physical name of a logical topic."""
        return self._topics.physical(name)

    @property
    def _partitions(self) -> int:
        return BY_NAME[self.role.inputs[0]].partitions(self._topics)

    @property
    def inputs(self) -> list[str]:
        """Physical names of the role's input topics."""
        return list(self._logical)

    # -- assignment -------------------------------------------------------------------------------------------

    async def pause(self) -> None:
        """Before a rebalance: every task finishes its batch and commits. Tables and producers stay open.

        A task that is still being opened is given up, and opened anew if it is assigned again: its recovery goes on
        from where it was.
        """
        self._assignments += 1
        await self._give_up_opening()
        await asyncio.gather(*(task.pause() for task in self.tasks.values()))
        faults.point("after-revocation")

    async def assign(self, assigned: Iterable[tuple[str, int]], standbys: Iterable[int] = ()) -> None:
        """After a rebalance: close the tasks lost, go on with those kept, open those gained.

        A task that is gained may have much to recover: it starts when it is open, and nobody waits for it. ``standbys``
        are the tasks of others to keep a warm copy of. Raises ``RuntimeError`` when a task did not get all its topics:
        co-partitioning is lost.
        """
        self._assignments += 1
        this = self._assignments
        owned: dict[int, set[str]] = {}
        for topic, partition in assigned:
            if topic in self._logical:
                owned.setdefault(partition, set()).add(self._logical[topic])
        for partition, names in owned.items():
            if missing := set(self.role.inputs) - names:
                raise RuntimeError(f"task {partition} of role {self.role.name} was assigned without {sorted(missing)}")
        for partition in sorted(self.tasks.keys() - owned.keys()):
            await self.tasks.pop(partition).close(commit=False)
            self.metrics.revoked(partition)
        faults.point("during-rebalance")
        if this != self._assignments:
            # Another rebalance has overtaken this one: what it paused is for its own assignment to start.
            return
        for task in self.tasks.values():
            task.start()
        for partition in sorted(owned.keys() - self.tasks.keys()):
            self._opening[partition] = asyncio.get_running_loop().create_task(self._gain(partition))
        log.info("role %s owns tasks %s, of which %s go on", self.role.name, sorted(owned), sorted(self.tasks))
        await self._standbys.keep(set(standbys) - owned.keys(), self._partitions, leave=self._opening.keys())
        self.metrics.tasks_owned(len(owned))

    async def _gain(self, partition: int) -> None:
        """Open a task and start it, while those that are open go on."""
        try:
            task = await self._open(partition)
        except asyncio.CancelledError:
            raise
        except BaseException as exc:
            self.fail(f"opening of task {self.role.name}-{partition}", exc)
            raise
        # From here to its start nothing is awaited: a rebalance finds it either still opening, or started.
        self.tasks[partition] = task
        del self._opening[partition]
        task.start()
        log.info("task %s-%d is open", self.role.name, partition)

    async def _give_up_opening(self) -> None:
        opening = list(self._opening.values())
        self._opening.clear()
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)

    async def _committed_offsets(self) -> dict[tuple[str, int], int]:
        admin = AIOKafkaAdminClient(**self._kafka.client_kwargs())
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.group)
        finally:
            await admin.close()
        return {(tp.topic, tp.partition): meta.offset for tp, meta in offsets.items() if meta.offset >= 0}

    async def _replicas_ready(self) -> None:
        if self.replicas is not None:
            await self.replicas.ready.wait()

    async def _bounds(self, partition: int) -> dict[str, tuple[int, int]]:
        """Where each input begins and ends, by logical topic."""
        async with reader(self._kafka.client_kwargs(), isolation_level="read_uncommitted") as consumer:
            found = [tp for tp in await partitions_of(consumer, self._logical) if tp.partition == partition]
            begins, ends = await consumer.beginning_offsets(found), await consumer.end_offsets(found)
        return {self._logical[tp.topic]: (begins[tp], ends[tp]) for tp in found}

    async def _open(self, partition: int) -> Task:
        partitions = self._partitions
        store = await self._standbys.take(partition, partitions)
        context = TaskContext(
            partition=partition,
            partitions=partitions,
            store=store,
            outbox=Outbox(),
            row=TaskRow(positions={}),
            topic=self.topic,
            metrics=self.metrics,
            replicas=self.replicas,
        )
        assert self.hand_over is not None
        task = Task(
            self.role,
            context,
            self._committer(partition),
            self.settings,
            changelogs=self._changelogs,
            hand_over=self.hand_over,
            fail=self.fail,
        )
        try:
            await task.fence()
            # Not before: until the earlier owner is fenced, what the group has committed is not final.
            committed, bounds, *_ = await asyncio.gather(
                self._committed_offsets(),
                self._bounds(partition),
                task.recover(self._kafka.client_kwargs()),
                self._replicas_ready(),
            )
            ours = {self._logical[t]: o for (t, p), o in committed.items() if p == partition and t in self._logical}
            task.begin(ours, bounds)
        except BaseException:
            await task.close(commit=False)
            raise
        return task

    def _committer(self, partition: int) -> Committer:
        client, settings = self._kafka.client_kwargs(), self.settings
        tasks_loop = asyncio.get_running_loop()

        async def commit_offsets(offsets: Mapping[tuple[str, int], int]) -> None:
            assert self.commit_offsets is not None
            done = asyncio.run_coroutine_threadsafe(self.commit_offsets(offsets), tasks_loop)
            await asyncio.wrap_future(done)

        def make() -> Committer:
            if settings.guarantee == "at_least_once":
                return AtLeastOnce(client, commit_offsets=commit_offsets, compression=settings.compression)
            return ExactlyOnce(
                client,
                transactional_id=f"{self.group}-{partition}",
                group=self.group,
                timeout_ms=settings.transaction_timeout_ms,
                compression=settings.compression,
            )

        return ThreadedCommitter(self._io, make)

    async def close(self, *, commit: bool = True) -> None:
        """Give everything up; with ``commit``, finish what is in hand first.

        A task whose tables cannot be closed, being damaged, keeps no other from it; then its error is raised.
        """
        await self._give_up_opening()
        closing = (task.close(commit=commit) for task in self.tasks.values())
        ended = await asyncio.gather(*closing, return_exceptions=True)
        self.tasks.clear()
        await self._standbys.close()
        if self.replicas is not None:
            await self.replicas.stop()
        for error in filter(None, ended):
            raise error

    # -- fetching ---------------------------------------------------------------------------------------------

    def positions(self) -> dict[tuple[str, int], int]:
        """Where every (topic, partition) of an open task goes on."""
        return {
            (self.topic(name), partition): offset
            for partition, task in self.tasks.items()
            for name, offset in task.next_offsets.items()
        }

    def fetchable(self) -> set[tuple[str, int]]:
        """The partitions whose task has room."""
        return {
            (physical, partition)
            for partition, task in self.tasks.items()
            for physical, name in self._logical.items()
            if task.has_room(name)
        }

    def feed(self, fetched: Mapping[Any, Fetched]) -> dict[tuple[str, int], int]:
        """Give what was fetched, by (topic, partition), to the tasks.

        Returns where to read on instead, of those whose records do not follow what their task took before.
        """
        astray: dict[tuple[str, int], int] = {}
        for (topic, partition), got in fetched.items():
            task = self.tasks.get(partition)
            if task is None:
                continue
            name = self._logical[topic]
            if not task.feed(name, got.start, got.position, got.records):
                astray[topic, partition] = task.next_offsets[name]
                self.metrics.astray()
                continue
            task.merge.mark(name, at_end=got.position >= got.end >= 0)
            behind = max(0, got.end - got.position) + task.merge.buffered(name)
            if behind and not self._behind(partition):
                # Work after an idle while: progress is counted from here, not from the last commit.
                task.progressed_at = time.monotonic()
            self._lag[name, partition] = behind
        return astray

    def fetched(self) -> None:
        """Everything that one look at the broker brought has been fed."""
        for task in self.tasks.values():
            task.fetched()

    def looks_in(self) -> float:
        """Seconds until the consumer should look again, for whichever task is the first."""
        return min((task.looks_in() for task in self.tasks.values()), default=0.0)

    @property
    def hurries(self) -> bool:
        """Whether a task's commit only waits for what came just before it."""
        return any(task.hurries for task in self.tasks.values())

    def lost_before(self, topic: str, partition: int, begin: int) -> None:
        """A partition begins at ``begin``, above where its task stands: what lay between was deleted unread."""
        if (task := self.tasks.get(partition)) is not None:
            task.lost_before(self._logical[topic], begin)

    def record_of(self, record: Any) -> Record:
        """A consumer's record as the core sees it."""
        return Record(
            self._logical[record.topic],
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            record.headers,
        )

    def report(self) -> None:
        """Set the gauges that are read now and then."""
        now = time.monotonic()
        for (topic, partition), behind in self.lag().items():
            self.metrics.lag(topic, partition, behind)
        for partition, task in self.tasks.items():
            self.metrics.progress(partition, now - task.progressed_at if self._behind(partition) else 0.0)
            self.metrics.disk(partition, task.context.store.size_bytes())
            self.metrics.tables_memory(partition, task.context.store.memory_bytes())
            self.metrics.timers(partition, task.context.row.timers, task.timers_late_s())
        self.metrics.block_cache(self._stores.cache_bytes())

    # -- health -----------------------------------------------------------------------------------------------

    def lag(self) -> dict[tuple[str, int], int]:
        """Records fetched or known but not folded, by (logical topic, partition)."""
        return {key: behind for key, behind in self._lag.items() if key[1] in self.tasks}

    def _behind(self, partition: int) -> int:
        return sum(behind for (_, p), behind in self._lag.items() if p == partition)

    def stuck(self) -> dict[int, float]:
        """Tasks with something to fold or commit and no commit for longer than the progress timeout; seconds since."""
        now = time.monotonic()
        return {
            partition: now - task.progressed_at
            for partition, task in self.tasks.items()
            if now - task.progressed_at > self.settings.progress_timeout_s
            and (self._behind(partition) or task.unsettled)
        }

    def healthy(self) -> tuple[bool, dict[str, Any]]:
        """False when a task with input makes no progress."""
        stuck = self.stuck()
        return not stuck, {"role": self.role.name, "tasks": sorted(self.tasks), "stuck": stuck}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """True once this process owns tasks whose tables are recovered, and its replicas have been read."""
        replicas_ready = self.replicas is None or self.replicas.ready.is_set()
        return bool(self.tasks) and not self._opening and replicas_ready, {
            "role": self.role.name,
            "tasks": sorted(self.tasks),
            "opening": sorted(self._opening),
            "replicas": self.replicas.lag() if self.replicas is not None else {},
        }
