"""One task, driven without a broker: what it takes of what is fetched, and that it folds each record once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.positions import PositionsDisagreeError, UnitsChangedError
from agents.role import NEVER, TaskContext, TaskRow
from agents.settings import RuntimeSettings
from agents.task import TASKS_TABLE, Task
from agents.worker import REFUSED
from state.codecs import StructCodec
from state.memory import open_store
from state.store import TaskIdentity
from state.table import TableSpec
from streamer.core.record import Record
from streamer.core.units import of_items, of_shoppers
from streamer.settings import leaves, load

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
    units: Mapping[str, int] = {}
    commit_interval_s = 0.001
    due_ms = NEVER
    changes = 0
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

    def ahead(self) -> None:
        """Nothing is told beforehand."""

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
    row: Mapping[str, int] | TaskRow | None = None,
    committer: Committed | None = None,
    **runtime: Any,
) -> Task:
    """A task of the role that has begun, with inputs of such bounds; ``row``, or its positions, it committed."""
    store = open_store(role.tables, TaskIdentity(role.name, 0, 1))
    kept = row if isinstance(row, TaskRow) else TaskRow(dict(row or {}))
    if row is not None:
        store.table(TASKS_TABLE).put("0", kept)

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
    task.begin(kept.positions, bounds)
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


@settings(max_examples=60)
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
                    task.fetched()
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


HALF_LIFE = "core.retrieval.items.trend_half_life_ms"


def with_half_life(half_life_ms: int) -> Listing:
    """A role whose rows count in such half-lives."""
    role = Listing()
    role.units = {HALF_LIFE: half_life_ms}
    return role


def before(units: Mapping[str, int]) -> TaskRow:
    """The row of a task that has folded nothing, and wrote its rows with ``units``."""
    return TaskRow({"browse": 0, "purchase": 0}, units=dict(units))


BOUNDS = {"browse": (0, 9), "purchase": (0, 9)}


def test_a_task_refuses_a_setting_that_its_rows_were_not_written_with_and_names_both_values():
    with pytest.raises(UnitsChangedError, match=rf"{HALF_LIFE} = 20, and what is stored was written with 10"):
        opened(with_half_life(20), BOUNDS, before({HALF_LIFE: 10}))


def test_a_task_goes_on_with_the_setting_its_rows_were_written_with():
    assert opened(with_half_life(10), BOUNDS, before({HALF_LIFE: 10})).context.row.units == {HALF_LIFE: 10}


def test_rows_of_a_release_that_did_not_keep_their_setting_are_taken_to_be_as_it_is_now_from_the_next_commit_on():
    async def drive() -> None:
        role = with_half_life(10)
        task = opened(role, BOUNDS, {"browse": 0, "purchase": 0})
        task.start()
        task.feed("browse", 0, 1, fetched("browse", 0, 1))
        task.fetched()
        await until(lambda: role.folded["browse"] == [0])
        await task.pause()
        kept = task.context.store.table(TASKS_TABLE).get("0")
        assert kept is not None
        assert (kept.positions["browse"], kept.units) == (1, {HALF_LIFE: 10})
        await task.close()

    asyncio.run(drive())


def test_a_row_without_units_as_earlier_releases_wrote_it_is_read():
    row = b"\x84\xa9positions\x81\xa6browse\x07\xa3now\x05\xa6timers\x00\xa6due_ms\x00"
    assert StructCodec(TaskRow).decode(bytes([1]) + row) == TaskRow({"browse": 7}, now=5)


def test_a_process_whose_rows_ask_for_another_setting_ends_with_the_code_of_what_no_restart_helps():
    imports = "from agents.positions import UnitsChangedError as E; from agents.worker import _fail"
    ends = f"{imports}; _fail('task', E('changed'))"
    assert subprocess.run([sys.executable, "-c", ends], check=False, capture_output=True).returncode == REFUSED


def test_the_units_of_each_role_are_settings_by_their_names_and_values():
    told = {"core.retrieval.items.trend_half_life_ms": 7, "core.profile.affinity_half_life_ms": 8}
    core = load(overrides=dict(told), check_files=False).core
    assert of_shoppers(core).items() >= {**of_items(core), **told}.items()
    assert set(of_shoppers(core)) <= {".".join(leaf.path) for leaf in leaves()}


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
        task.fetched()
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
        task.fetched()
        await until(lambda: len(role.folded["browse"]) == 20)
        await turns()
        assert task.context.store.positions() == {}
        task.feed("browse", 20, 2000, fetched("browse", 20, 2000))
        task.fetched()
        await until(lambda: len(role.folded["browse"]) > 100)
        assert task.context.store.positions() == {}
        busy = False
        await until(lambda: bool(task.context.store.positions()))
        await task.close()

    asyncio.run(drive())


class Noted(Committed):
    """A committer that keeps what it was asked, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []

    def ahead(self) -> None:
        """The next transaction is begun."""
        self.log.append("ahead")

    async def commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Takes a turn or two."""
        self.log.append("commit")
        await asyncio.sleep(0)
        ends = await super().commit(outbox, offsets)
        self.log.append("committed")
        return ends


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_a_transaction_that_is_begun_ahead_follows_the_one_before_and_is_committed_after_the_batch_in_hand(seed):
    """An open one is aborted by the broker in the end, and its task fenced: nothing may come between."""
    random, role = Random(seed), Listing()
    role.commit_interval_s = 0.005
    noted = Noted()

    async def drive() -> None:
        end = 4_000
        task = opened(role, {"browse": (0, end), "purchase": (0, 0)}, committer=noted, max_batch_events=32)
        task.start()
        offset = 0
        while offset < end:
            start, offset = offset, min(end, offset + random.choice([1, 3, 30, 300]))
            task.feed("browse", start, offset, fetched("browse", start, offset))
            task.fetched()
            await turns(random.randrange(20))
            if random.random() < 0.05:
                await asyncio.sleep(0.006)
            if random.random() < 0.05:  # a rebalance
                await task.pause()
                offset = task.next_offsets["browse"]
                task.start()
        await until(lambda: len(role.folded["browse"]) == end)
        await task.close()

    asyncio.run(drive())
    assert role.folded["browse"] == list(range(4_000))
    assert noted.log.count("ahead") > 0
    pairs = list(zip(["committed", *noted.log], noted.log, strict=False))
    assert {before for before, after in pairs if after == "ahead"} == {"committed"}
    assert {after for before, after in pairs if before == "ahead"} == {"commit"}
