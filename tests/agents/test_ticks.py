"""When a task makes ticks, and that they are journaled where they were folded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from agents import task as tasks
from agents.clock import steady_ms, ticking_ms
from agents.metrics import Metrics
from agents.outbox import Outbox, runs
from agents.role import NEVER, TaskContext, TaskRow
from agents.settings import RuntimeSettings
from agents.task import TASKS_TABLE, Task
from state.codecs import StructCodec
from state.memory import open_store
from state.store import TaskIdentity
from state.table import TableSpec
from streamer.core.record import TICK, Record, changes_of, tick
from tests.agents.test_task import Committed, fetched, turns, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.batch import Batch


class Alarms:
    """A role whose timers are the times it is given; it notes down what it folds, in order."""

    name = "alarms"
    inputs = ("browse",)
    first: frozenset[str] = frozenset()
    tables: tuple[TableSpec[Any], ...] = (TableSpec(TASKS_TABLE, StructCodec(TaskRow)),)
    journaled = True
    units: Mapping[str, int] = {}
    commit_interval_s = 0.001

    def __init__(self, *due: int, at_once: int = 10) -> None:
        self.due, self.at_once, self.reached, self.changes = sorted(due), at_once, 0, 0
        self.folded: list[tuple[str, int]] = []
        self.fired: list[tuple[int, int]] = []
        self.told: list[tuple[int, int]] = []
        self.told_at_once = 1 << 30
        self.again = False
        self.at_tick: Callable[[], object] = list
        self._row = TaskRow({})

    @property
    def due_ms(self) -> int:
        """The earliest."""
        return self.due[0] if self.due else NEVER

    def replicas(self) -> None:
        """None."""

    def open(self, context: TaskContext) -> Alarms:
        """One task's work is the role itself."""
        self._row = context.row
        return self

    def process(self, records: Sequence[Record]) -> Mapping[str, int]:
        """An event's time is its timestamp; a tick fires ``at_once`` timers at most."""
        self.reached = 0
        for record in records:
            self.folded.append((record.topic, record.offset))
            self._row.now = max(self._row.now, record.timestamp)
            if record.topic == TICK:
                self.at_tick()
                now = self._row.now
                reached = [at for at in self.due if at <= now][: self.at_once]
                self.due, self.reached = self.due[len(reached) :], len(reached)
                self.fired += [(at, now) for at in reached]
                if changes := changes_of(record):
                    self.told.append((changes, now))
                    self.changes = max(0, self.changes - self.told_at_once)
        return {"duplicate" if self.again else "applied": sum(record.topic != TICK for record in records)}

    def before_commit(self) -> None:
        """Nothing is staged."""


class Kept(Committed):
    """A committer that keeps what it was given, too."""

    def __init__(self) -> None:
        super().__init__()
        self.journal: list[dict[str, Any]] = []

    async def commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Keep the journal's rows."""
        for (topic, _), rows in outbox:
            self.journal += [msgspec.json.decode(row[1] or b"") for row in rows if topic == "journal"]
        return await super().commit(outbox, offsets)


async def begun(events: int, role: Alarms, **runtime: Any) -> Task:
    """A task that works, and has folded so many events."""
    task = opened(role, **runtime)
    task.start()
    feed(task, 0, events)
    await until(lambda: len(role.folded) == events)
    return task


def opened(role: Alarms, committer: Kept | None = None, **runtime: Any) -> Task:
    """A task of the role that has begun, whose one input has a hundred records."""
    store = open_store(role.tables, TaskIdentity(role.name, 0, 1))

    async def hand_over(batch: Batch) -> None:
        batch.run()

    def fail(_what: str, error: BaseException) -> None:
        raise error

    context = TaskContext(0, 1, store, Outbox(), TaskRow({}), str, Metrics(role="alarms"), None)
    task = Task(
        role, context, committer or Kept(), RuntimeSettings(merge_wait_ms=0, **runtime),
        changelogs={TASKS_TABLE: "changelog"}, hand_over=hand_over, fail=fail,
    )  # fmt: skip
    task.begin({}, {"browse": (0, 100)})
    return task


def feed(task: Task, start: int, end: int) -> None:
    """Events ``start`` to ``end``, each a millisecond after the one before; the input is read to its end then."""
    assert task.feed("browse", start, end, fetched("browse", start, end))
    task.merge.mark("browse", at_end=True)
    task.fetched()


def test_a_timer_fires_at_a_tick_once_the_stream_time_has_reached_it() -> None:
    """Not before, and in front of what is folded next."""
    role = Alarms(3, 7)

    async def drive() -> None:
        task = await begun(3, role, idle_tick_ms=0)
        await turns()
        assert role.fired == []
        feed(task, 3, 6)
        await until(lambda: role.fired == [(3, 5)])
        feed(task, 6, 9)
        await until(lambda: role.fired == [(3, 5), (7, 8)])
        await task.close()

    asyncio.run(drive())
    assert [offset for topic, offset in role.folded if topic == "browse"] == list(range(9))
    assert [offset for topic, offset in role.folded if topic == TICK] == [5, 8]


def test_more_timers_than_a_tick_takes_are_fired_by_one_tick_after_the_other() -> None:
    """A whole shop's timers falling due at once hold up events for one tick, and wait for no commit."""
    role = Alarms(*range(10), at_once=3)

    async def drive() -> None:
        broker = Kept()
        task = opened(role, broker, idle_tick_ms=0)
        role.at_tick = broker.answers.clear
        task.start()
        feed(task, 0, 20)
        await until(lambda: len(role.fired) == 10)
        broker.answers.set()
        await task.close()

    asyncio.run(drive())
    assert [topic for topic, _ in role.folded].count(TICK) == 4
    assert [at for at, _ in role.fired] == list(range(10))


def test_ticks_are_journaled_in_place_and_no_position_knows_of_them() -> None:
    """So that a replay makes them at the same place among the records."""
    role, broker = Alarms(2), Kept()

    async def drive() -> None:
        task = opened(role, broker, idle_tick_ms=0)
        task.start()
        feed(task, 0, 5)
        await until(lambda: role.fired == [(2, 4)])
        feed(task, 5, 6)
        await until(lambda: len(role.folded) == 7)
        await task.close()
        assert task.context.row.positions == {"browse": 6}

    asyncio.run(drive())
    batches = [batch for row in broker.journal for batch in row["batches"]]
    assert [run for batch in batches for run in batch["runs"]] == [["browse", 0, 4], [TICK, 4, 0], ["browse", 5, 5]]
    assert sum(batch["counts"]["applied"] for batch in batches) == 6
    assert set(broker.offsets) == {("browse", 0)}


def test_a_run_of_records_does_not_go_on_over_a_tick() -> None:
    """Whatever its time."""
    told: list[list[str | int]] = []
    runs([Record("browse", 0, 1, 0, None, None), tick(0, 1), tick(0, 1)], told)
    runs([Record("browse", 0, 2, 0, None, None), Record("browse", 0, 3, 0, None, None)], told)
    assert told == [["browse", 1, 1], [TICK, 1, 0], [TICK, 1, 0], ["browse", 2, 3]]


class Wall:
    """The clock on the wall, and how often it was looked at."""

    def __init__(self) -> None:
        self.ms, self.looks = 0, 0

    def __call__(self) -> int:
        """What it shows."""
        self.looks += 1
        return self.ms


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    """The clock that the task looks at."""
    clock = Wall()
    monkeypatch.setattr(tasks, "ticking_ms", clock)
    return clock


def test_when_nothing_comes_timers_fire_by_the_wall_clock(wall: Wall) -> None:
    """The time it shows is the stream time from then on."""
    role = Alarms(50)

    async def drive() -> None:
        task = await begun(5, role, idle_tick_ms=1)
        wall.ms = 49
        looks = wall.looks
        await until(lambda: wall.looks > looks + 3)
        assert role.fired == []
        wall.ms = 61
        task.fetched()
        await until(lambda: role.fired == [(50, 61)])
        assert task.context.row.now == 61
        assert task.timers_late_s() == 0.0
        await task.close()

    asyncio.run(drive())


@pytest.mark.parametrize("new", [False, True])
def test_duplicates_do_not_hold_up_the_clock_and_events_that_are_new_do(new: bool, wall: Wall) -> None:
    """Timers would wait until the last of an hour of duplicates. A stream that lags goes on by its own time."""
    role = Alarms(50)

    async def drive() -> None:
        task = await begun(5, role, idle_tick_ms=100)
        wall.ms, role.again = 61, not new

        async def sent() -> None:
            for offset in range(5, 65):
                old = [msgspec.structs.replace(record, timestamp=0) for record in fetched("browse", offset, offset + 1)]
                assert task.feed("browse", offset, offset + 1, old)
                task.merge.mark("browse", at_end=True)
                task.fetched()
                await asyncio.sleep(0.005)  # much more often than idle_tick_ms

        sending = asyncio.create_task(sent())
        await until(lambda: role.fired == [(50, 61)])
        assert sending.done() == new
        await sending
        await task.close()

    asyncio.run(drive())


def test_an_idle_task_wakes_up_when_its_next_timer_is_due(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wake it, and it does not wait for the next look that it takes anyway."""
    role = Alarms(20)
    monkeypatch.setattr("agents.task.LOOK_S", 3600.0)

    async def drive() -> None:
        task = await begun(1, role, idle_tick_ms=1)
        await turns()
        asyncio.get_running_loop().call_later(0.02, setattr, wall, "ms", 20)
        await until(lambda: bool(role.fired))
        await task.close()

    asyncio.run(drive())


@pytest.mark.parametrize("why", ["it is switched off", "an input is not read to its end", "something came lately"])
def test_the_wall_clock_fires_nothing_while(why: str, wall: Wall) -> None:
    """Then the stream tells the time."""
    role = Alarms(50)
    wall.ms = 100

    async def drive() -> None:
        task = opened(role, idle_tick_ms={"it is switched off": 0, "something came lately": 3_600_000}.get(why, 1))
        task.start()
        feed(task, 0, 5)
        if why == "an input is not read to its end":
            task.merge.mark("browse", at_end=False)
        await until(lambda: len(role.folded) == 5)
        for _ in range(5):
            await asyncio.sleep(0.002)  # longer than idle_tick_ms
            task.fetched()
            await turns()
        assert role.fired == []
        assert task.timers_late_s() == (0.05 if why == "something came lately" else 0.0)
        feed(task, 5, 60)
        await until(lambda: role.fired == [(50, 59)])
        await task.close()

    asyncio.run(drive())


def test_a_task_that_is_paused_makes_no_ticks_until_it_goes_on(wall: Wall) -> None:
    """In a rebalance nothing is folded; what was due meanwhile fires afterwards, once."""
    role = Alarms(50)

    async def drive() -> None:
        task = await begun(5, role, idle_tick_ms=1)
        await task.pause()
        wall.ms = 70
        task.fetched()
        await turns()
        assert role.fired == []
        task.start()
        await asyncio.sleep(0.002)
        await turns()
        assert role.fired == []  # before a fetch has told that there is nothing more
        task.merge.mark("browse", at_end=True)
        task.fetched()
        await until(lambda: role.fired == [(50, 70)])
        await task.close()

    asyncio.run(drive())


def test_a_batch_that_the_agent_does_not_take_gives_back_its_records_without_the_tick() -> None:
    """The tick is made anew when its time comes again."""
    role = Alarms(1)

    async def drive() -> None:
        task = opened(role, idle_tick_ms=0)
        taken: list[Batch] = []

        async def keep(batch: Batch) -> None:
            taken.append(batch)
            await asyncio.Event().wait()

        task.context.row.now = 5
        task._hand_over = keep
        feed(task, 0, 3)
        task.start()
        await until(lambda: bool(taken))
        given_back: list[Record] = []
        task.merge.put_back = given_back.extend  # type: ignore[method-assign,assignment]
        await task.pause()
        assert [record.topic for record in taken[0].records] == [TICK, "browse", "browse", "browse"]
        assert [(record.topic, record.offset) for record in given_back] == [("browse", n) for n in range(3)]
        assert role.fired == []
        assert task.next_offsets == {"browse": 0}
        await task.close()

    asyncio.run(drive())


def test_a_wall_clock_that_jumps_ahead_does_not_take_the_stream_time_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it overtook would be refused as too old, for as long as it jumped."""
    before = steady_ms()
    monkeypatch.setattr("time.time", lambda: before / 1000 + 3600)
    assert before <= ticking_ms() < before + 60_000
    monkeypatch.setattr("time.time", lambda: before / 1000 - 3600)
    assert abs(ticking_ms() - (before - 3_600_000)) <= 1


def test_changes_of_the_catalog_are_told_at_a_tick_while_events_come() -> None:
    """At the stream's time, in front of what is folded next; the journal says up to where."""
    role, broker = Alarms(), Kept()

    async def drive() -> None:
        task = opened(role, broker, idle_tick_ms=3_600_000)
        task.start()
        feed(task, 0, 3)
        await until(lambda: len(role.folded) == 3)
        await turns()
        assert role.told == []
        role.changes = 17
        task.fetched()
        await until(lambda: role.told == [(17, 2)])
        feed(task, 3, 5)
        await until(lambda: len(role.folded) == 6)
        await task.close()

    asyncio.run(drive())
    assert role.told == [(17, 2)]
    told = [run for row in broker.journal for batch in row["batches"] for run in batch["runs"]]
    assert told == [["browse", 0, 2], [TICK, 2, 17], ["browse", 3, 4]]


def test_changes_wait_for_the_clock_where_the_stream_stands_still(wall: Wall) -> None:
    """A task that has folded nothing yet, or nothing lately, knows no time to tell them at but the clock's."""
    role = Alarms()

    async def drive() -> None:
        task = opened(role, idle_tick_ms=1)
        task.context.row.now, role.changes, wall.ms = 40, 9, 5_000
        task.start()
        await turns()
        await asyncio.sleep(0.002)
        task.fetched()
        await turns()
        assert role.told == []  # nobody has said that the input is read to its end
        task.merge.mark("browse", at_end=True)
        task.fetched()
        await until(lambda: role.told == [(9, 5_000)])
        await task.close()

    asyncio.run(drive())


def test_an_event_after_a_long_silence_is_folded_before_changes_are_told() -> None:
    """Or they would be told as of the time of the silence."""
    role = Alarms()

    async def drive() -> None:
        task = opened(role, idle_tick_ms=3_600_000)
        task.context.row.now, role.changes = -50, 9
        task.start()
        feed(task, 0, 3)
        await until(lambda: bool(role.told))
        await task.close()

    asyncio.run(drive())
    assert role.told == [(9, 2)]
    assert [topic for topic, _ in role.folded] == ["browse"] * 3 + [TICK]


def test_without_a_clock_changes_wait_for_an_event() -> None:
    """Its own time is all that such a task goes by."""
    role = Alarms()

    async def drive() -> None:
        task = opened(role, idle_tick_ms=0)
        role.changes = 9
        task.start()
        task.merge.mark("browse", at_end=True)
        task.fetched()
        await turns()
        assert role.told == []
        feed(task, 0, 1)
        await until(lambda: role.told == [(9, 0)])
        await task.close()

    asyncio.run(drive())


def test_more_changes_than_a_tick_takes_are_told_tick_by_tick_between_events() -> None:
    """Neither waits for all of the other."""
    role = Alarms()

    async def drive() -> None:
        task = opened(role, idle_tick_ms=3_600_000, max_batch_events=2)
        role.told_at_once, role.changes = 3, 9
        feed(task, 0, 6)
        task.start()
        await until(lambda: len(role.told) == 3 and len(role.folded) == 9)
        await task.close()

    asyncio.run(drive())
    topics = [topic for topic, _ in role.folded]
    assert [offset for topic, offset in role.folded if topic == "browse"] == list(range(6))
    assert topics.index(TICK) < topics.index("browse", topics.index(TICK))
