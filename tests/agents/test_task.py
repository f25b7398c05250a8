"""One task, driven without a broker: what it takes of what is fetched, and that it folds each record once."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import NEVER, TaskContext, TaskRow
from agents.settings import RuntimeSettings
from agents.task import TASKS_TABLE, PositionsDisagreeError, Task
from state.codecs import StructCodec
from state.memory import open_store
from state.store import TaskIdentity
from state.table import TableSpec
from streamer.core.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.batch import Batch

INPUTS = ("browse", "purchase")


class Listing:
    """A role that only notes down what it is given."""

    name = "listing"
    inputs = INPUTS
    first: frozenset[str] = frozenset()
    tables: tuple[TableSpec[Any], ...] = (TableSpec(TASKS_TABLE, StructCodec(TaskRow)),)
    journaled = False
    commit_interval_s = 0.001
    due_ms = NEVER
    reached = 0

    def __init__(self) -> None:
        self.folded: dict[str, list[int]] = {topic: [] for topic in INPUTS}

    def replicas(self) -> None:
        """None."""

    def open(self, _context: TaskContext) -> Listing:
        """One task's work is the role itself."""
        return self

    def process(self, records: Sequence[Record]) -> Mapping[str, int]:
        """Note down the offsets."""
        for record in records:
            self.folded[record.topic].append(record.offset)
        return {"applied": len(records)}

    def before_commit(self) -> None:
        """Nothing is staged."""


class Committed:
    """A committer that commits to memory."""

    def __init__(self) -> None:
        self.offsets: dict[tuple[str, int], int] = {}
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = 0

    async def start(self) -> None:
        """Nothing to connect to."""

    async def commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Remember the offsets, and that the changelog is one row longer."""
        self.asked += 1
        await self.answers.wait()
        self.offsets |= offsets
        return {tp: 1 for tp, _ in outbox}

    async def close(self) -> None:
        """Nothing to disconnect."""


def opened(
    role: Listing,
    bounds: Mapping[str, tuple[int, int]],
    row: Mapping[str, int] | None = None,
    committer: Committed | None = None,
    **runtime: Any,
) -> Task:
    """A task of the role that has begun, with inputs of such bounds; ``row`` are the positions it committed before."""
    store = open_store(role.tables, TaskIdentity(role.name, 0, 1))
    if row is not None:
        store.table(TASKS_TABLE).put("0", TaskRow(dict(row)))

    async def hand_over(batch: Batch) -> None:
        batch.run()

    def fail(_what: str, error: BaseException) -> None:
        raise error

    context = TaskContext(0, 1, store, Outbox(), TaskRow({}), str, Metrics(role="listing"), None)
    changelogs = {TASKS_TABLE: "changelog"}
    task = Task(
        role, context, committer or Committed(), RuntimeSettings(merge_wait_ms=0, **runtime),
        changelogs=changelogs, hand_over=hand_over, fail=fail,
    )  # fmt: skip
    task.begin(row or {}, bounds)
    return task


def fetched(topic: str, start: int, end: int, size: int = 1) -> list[Record]:
    return [Record(topic, 0, offset, offset, b"k", bytes(size)) for offset in range(start, end)]


async def turns(count: int = 200) -> None:
    """Let everything that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(done: Callable[[], bool]) -> None:
    """Let everything go on until ``done()``; ``TimeoutError`` if it does not come to it."""
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - folding tells nobody
            await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_wherever_the_consumer_is_moved_to_each_record_is_folded_once_and_in_order(seed):
    """Seeks behind the task's back, rebalances in between, fetches answered late: invariant 7."""
    random, role = Random(seed), Listing()
    begins, ends = {"browse": 3, "purchase": 0}, {"browse": 40, "purchase": 25}

    async def drive() -> None:
        task = opened(role, {topic: (begins[topic], ends[topic]) for topic in INPUTS})
        task.start()
        consumer = {topic: random.randrange(begins[topic], ends[topic] + 1) for topic in INPUTS}
        while any(len(role.folded[topic]) < ends[topic] - begins[topic] for topic in INPUTS):
            topic = random.choice(INPUTS)
            step = random.random()
            if step < 0.1:  # somebody moves it
                consumer[topic] = random.randrange(begins[topic], ends[topic] + 1)
            elif step < 0.2:  # a rebalance: what was buffered is dropped
                await task.pause()
                task.start()
            else:
                start = consumer[topic]
                consumer[topic] = min(ends[topic], start + random.randrange(6))
                if random.random() < 0.9:  # else the answer is lost
                    if not task.feed(topic, start, consumer[topic], fetched(topic, start, consumer[topic])):
                        consumer[topic] = task.next_offsets[topic]
                    task.wake()
            await asyncio.sleep(0)
        await task.close()

    asyncio.run(drive())
    assert role.folded == {topic: list(range(begins[topic], ends[topic])) for topic in INPUTS}


def test_a_task_that_is_started_twice_has_one_loop_and_none_once_it_is_closed():
    def loops() -> int:
        return [task.get_name() for task in asyncio.all_tasks()].count("listing-0")

    async def drive() -> None:
        task = opened(Listing(), {"browse": (0, 500), "purchase": (0, 0)})
        task.start()
        task.start()
        assert loops() == 1
        await task.close()
        assert loops() == 0

    asyncio.run(drive())


def test_what_was_fetched_but_not_folded_is_asked_for_again_after_a_rebalance():
    async def drive() -> None:
        task = opened(Listing(), {"browse": (0, 9), "purchase": (2, 9)})
        assert task.feed("browse", 0, 4, fetched("browse", 0, 4))
        assert task.next_offsets == {"browse": 4, "purchase": 2}
        await task.pause()
        assert task.next_offsets == {"browse": 0, "purchase": 2}
        await task.close()

    asyncio.run(drive())


def test_a_task_goes_on_where_an_input_begins_that_was_cut_above_it_and_counts_what_is_lost():
    async def drive() -> None:
        task = opened(Listing(), {"browse": (7, 9), "purchase": (0, 9)}, {"browse": 4, "purchase": 3})
        assert task.next_offsets == {"browse": 7, "purchase": 3}
        assert b'streamer_input_lost_offsets{role="listing",topic="browse"} 3.0' in task.context.metrics.render()
        task.lost_before("purchase", 8)  # and while it runs
        await task.pause()
        assert task.next_offsets == {"browse": 7, "purchase": 8}
        assert b'streamer_input_lost_offsets{role="listing",topic="purchase"} 5.0' in task.context.metrics.render()
        await task.close()

    asyncio.run(drive())


def test_a_task_refuses_an_input_that_ends_below_what_it_has_folded():
    with pytest.raises(PositionsDisagreeError, match=r"has folded browse up to 4, and the topic ends at 2"):
        opened(Listing(), {"browse": (0, 2), "purchase": (0, 9)}, {"browse": 4})


def test_fetching_pauses_by_bytes_long_before_many_large_records_are_held():
    async def drive() -> None:
        task = opened(Listing(), {"browse": (0, 99), "purchase": (0, 99)}, buffer_bytes=1 << 20)
        assert task.feed("browse", 0, 4, fetched("browse", 0, 4, size=(1 << 18) - 1))
        assert not task.has_room("browse")
        assert task.has_room("purchase")
        await task.close()

    asyncio.run(drive())


@pytest.mark.parametrize("size", [100, 20_000])
def test_a_broker_that_does_not_answer_stops_folding_before_memory_grows_beyond_its_bound(size):
    """One commit is under way, the next is full: ``commit_bytes`` each, and a batch."""
    role, bound, batch = Listing(), 1 << 18, 16
    role.commit_interval_s = 3600.0  # so that nothing but bytes makes a commit due after the first
    count = 6 * bound // size

    async def drive() -> None:
        broker = Committed()
        broker.answers.clear()
        task = opened(
            role, {"browse": (0, count), "purchase": (0, 0)}, committer=broker, commit_bytes=bound,
            buffer_bytes=1 << 30, buffer_records=1 << 20, max_batch_events=batch,
        )  # fmt: skip
        task.start()
        task.feed("browse", 0, count, fetched("browse", 0, count, size))
        task.wake()
        await turns(3 * count)
        assert broker.asked == 1
        assert bound < len(role.folded["browse"]) * size <= 2 * bound + 2 * batch * size
        broker.answers.set()
        await until(lambda: len(role.folded["browse"]) * size > 4 * bound)
        await task.close()
        assert role.folded["browse"] == list(range(broker.offsets["browse", 0]))

    asyncio.run(drive())


def test_a_store_that_would_hold_its_writes_is_waited_for_while_folding_goes_on(monkeypatch):
    role = Listing()
    role.commit_interval_s = 1.0  # the second commit is not due within this test

    async def drive() -> None:
        task = opened(role, {"browse": (0, 2000), "purchase": (0, 0)})
        busy = True
        monkeypatch.setattr(task.context.store, "busy", lambda: busy)
        task.start()
        task.feed("browse", 0, 20, fetched("browse", 0, 20))
        task.wake()
        await until(lambda: len(role.folded["browse"]) == 20)
        await turns()
        assert task.context.store.positions() == {}
        task.feed("browse", 20, 2000, fetched("browse", 20, 2000))
        task.wake()
        await until(lambda: len(role.folded["browse"]) > 100)
        assert task.context.store.positions() == {}
        busy = False
        await until(lambda: bool(task.context.store.positions()))
        await task.close()

    asyncio.run(drive())
