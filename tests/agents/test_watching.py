"""Table ``watch`` as a task keeps it, on either back end, and the user role's news from the catalog on it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.roles.user import UserRole
from agents.task import TASKS_TABLE
from agents.watching import WatchTable
from state import memory, rocks
from state.errors import StateCorrupt
from state.settings import StateSettings
from state.store import TaskIdentity, TaskStore
from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.campaigns.watching import Watch, span, watch_key
from streamer.core.record import Record, tick
from streamer.core.settings import CoreSettings, PolicySettings
from streamer.core.timer_settings import TimerSettings
from tests.core.task_shop import T0, record
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agents.roles.user import UserWork

MINUTE = 60_000
IDENTITY = TaskIdentity("user", 0, 1)
OPEN = PolicySettings(per_hour=100, per_day=100, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0)


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TaskStore]:
    """An empty store of a user task."""
    if request.param == "memory":
        made = memory.open_store(UserRole.tables, IDENTITY, memory.MemoryDisk())
    else:
        kept = StateSettings()
        made = rocks.open_store(tmp_path / "0", UserRole.tables, IDENTITY, kept, rocks.RocksMemory(kept))
    yield made
    made.close()


def context_of(store: TaskStore) -> TaskContext:
    return TaskContext(0, 1, store, Outbox(), TaskRow({}), lambda name: name, Metrics(role="user"), None)


def commit(context: TaskContext) -> None:
    """One whole transaction, the task's own row in it."""
    context.store.table(TASKS_TABLE).put("0", context.row)
    context.store.take_changes()
    context.store.committed({})


def role_of(*campaigns: str, **timers: int) -> UserRole:
    def fail(what: str, exc: BaseException) -> None:
        raise AssertionError(what) from exc

    core = CoreSettings(policy=OPEN, campaigns=load(CampaignSettings(on=campaigns)), timers=TimerSettings(**timers))
    return UserRole(
        core, topic=str, client={}, metrics=Metrics(role="user"), fail=fail, item_partitions=1, commit_interval_s=0.1
    )


class Told:
    """A catalog that is told to a role's replica, record by record."""

    def __init__(self, role: UserRole) -> None:
        self._role, self.end = role, 0
        for n in range(4):
            self.say(f"item-{n}", 100.0)

    def say(self, item: str, price: float, stock: int = 1) -> None:
        self._role.known.places["catalog"](self.end)
        self._role.known.appliers["catalog"](item.encode(), json.dumps({"price": price, "stock": stock}).encode())
        self.end += 1
        self._role.known.places["catalog"](self.end)


def view(user: str, item: str, minutes: int) -> Record:
    return record(user, "view", T0 + minutes * MINUTE, items=[{"id": item}], id=f"{item}-{minutes}", offset=minutes)


def tells(work: UserWork, minutes: int) -> int:
    """Tick until there is nothing left to tell or to fire. How many ticks that took."""
    ticks = 0
    while work.changes or work.due_ms <= T0 + minutes * MINUTE:
        work.process([tick(0, T0 + minutes * MINUTE, work.changes)])
        ticks += 1
    return ticks


def pushed(context: TaskContext) -> list[tuple[str, str]]:
    """Whom a push went to since the last time, and its first item."""
    rows = dict(context.outbox.take()).get(("push-candidates", 0), ())
    bodies = [orjson.loads(value or b"") for _, value, *_ in rows]
    return [(body["user_id"], body["items"][0]["id"]) for body in bodies]


keys = st.builds(watch_key, st.integers(0, 3), st.sampled_from(("", "a", "b", "/", "\U0010ffff")))
steps = st.lists(st.tuples(st.dictionaries(keys, st.booleans(), max_size=6), st.booleans()), max_size=8)


@pytest.mark.parametrize("kind", ["memory", "rocks"])
def test_the_table_gives_the_rows_of_items_and_what_the_task_s_own_row_says(kind: str, tmp_path_factory) -> None:
    """Wherever commits come; behind whichever shopper it is to go on."""

    @settings(max_examples=examples(40 if kind == "memory" else 12))
    @given(steps, st.integers(1, 6))
    def holds(changes: list[tuple[dict[str, bool], bool]], limit: int) -> None:
        if kind == "memory":
            made = memory.open_store(UserRole.tables, IDENTITY, memory.MemoryDisk())
        else:
            kept = StateSettings()
            path = tmp_path_factory.mktemp("task") / "0"
            made = rocks.open_store(path, UserRole.tables, IDENTITY, kept, rocks.RocksMemory(kept))
        context = context_of(made)
        table = WatchTable(made.table("watch"), context)
        held: dict[str, bool] = {}
        for rows, commits in changes:
            held |= rows
            written = {key: Watch(1, 2, 3) if there else None for key, there in rows.items()}
            table.write(written, sum(held.values()), len(held), "u")
            if commits:
                commit(context)
        there = sorted((key for key, is_there in held.items() if is_there), key=str.encode)
        assert (table.count, table.swept) == (len(there), (len(held), "u" if changes else ""))
        spans = [span(item, after) for item in (2, 0, 3) for after in ("", "a")]
        due = [(n, key) for n, (low, high) in enumerate(spans) for key in there if low <= key < high]
        assert [(n, key) for n, key, _ in table.between(spans, limit)] == due[:limit]
        made.close()

    holds()


def test_a_key_that_is_none_is_a_damaged_table(store: TaskStore) -> None:
    """The task ends, and no change of the catalog is blamed for it."""
    context = context_of(store)
    store.table("watch").put(f"{5:016x}/", Watch(1, 2, 3))
    store.table("watch").put(f"{5:016x}", Watch(1, 2, 3))
    with pytest.raises(StateCorrupt, match="no key of who watches what"):
        WatchTable(store.table("watch"), context).between([(f"{5:016x}", f"{6:016x}")], 9)


def test_a_drop_reaches_who_looked_once_and_a_task_that_begins_anew_goes_on(store: TaskStore) -> None:
    """From its tables and its own row; also with another worker's replica, that read the catalog later."""
    role = role_of("price-drop", told_per_tick=2)
    catalog, context = Told(role), context_of(store)
    work = role.open(context)
    work.process([view(user, item, 0) for user in ("u", "v", "w") for item in ("item-0", "item-1")])
    assert (context.row.watched, work.changes, context.row.swept) == (6, 0, catalog.end)
    for n in range(4):
        catalog.say(f"item-{n}", 70.0)
    assert work.changes == catalog.end
    work.process([tick(0, T0 + MINUTE, work.changes)])
    commit(context)
    assert context.row.swept_after == "v"
    assert pushed(context) == []

    other = role_of("price-drop", told_per_tick=2)
    later = Told(other)
    for n in range(4):
        later.say(f"item-{n}", 70.0)
    row = store.table(TASKS_TABLE).get("0")
    assert isinstance(row, TaskRow)
    context.row = row
    again = other.open(context)
    assert tells(again, 2) >= 3
    assert {user for user, _ in pushed(context)} == {"u", "v", "w"}
    assert (context.row.swept, context.row.swept_after, context.row.timers) == (catalog.end, "", 0)
    assert tells(again, 3) == 0


def test_a_replica_that_lags_behind_the_worker_before_tells_nothing_twice(store: TaskStore) -> None:
    """What is told stays told, though the copy of the catalog is an older one for a while."""
    role = role_of("back-in-stock")
    catalog, context = Told(role), context_of(store)
    work = role.open(context)
    work.process([view("u", "item-0", 0)])
    catalog.say("item-0", 100.0, stock=0)
    catalog.say("item-0", 100.0, stock=1)
    tells(work, 1)
    assert pushed(context) == [("u", "item-0")]
    commit(context)
    lagging = role_of("back-in-stock")
    older = Told(lagging)
    again = lagging.open(context)
    again.process([view("x", "item-3", 2)])
    assert context.row.swept == catalog.end
    older.say("item-0", 100.0, stock=0)
    older.say("item-0", 100.0, stock=1)
    assert tells(again, 3) == 0
    assert pushed(context) == []


def test_changes_that_cannot_be_told_are_passed_over_with_a_dead_letter(
    store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or every tick to come would fail at them; timers that are due fire all the same."""
    role = role_of("price-drop", "cart-reminder")
    catalog, context = Told(role), context_of(store)
    work = role.open(context)
    work.process([record("u", "cart", T0, items=[{"id": "item-0"}])])
    catalog.say("item-0", 70.0)

    def breaks(*_: object) -> list[object]:
        raise RuntimeError("no rows")

    monkeypatch.setattr(WatchTable, "between", breaks)
    assert tells(work, 31) < 4
    taken = dict(context.outbox.take())
    (letter,) = taken["dead-letters", 0]
    assert dict(letter[2])["dl_reason"] == b"handler_error"
    assert [orjson.loads(row[1] or b"")["c"] for row in taken["decisions", 0]] == ["cart-reminder"]
    assert context.row.swept == catalog.end


def test_a_shop_without_such_campaigns_writes_no_row_and_asks_for_no_tick(store: TaskStore) -> None:
    """Whatever the catalog says."""
    role = role_of("next", "cart-reminder")
    catalog, context = Told(role), context_of(store)
    work = role.open(context)
    for n in range(20):
        work.process([view("u", f"item-{n % 4}", n)])
        catalog.say(f"item-{n % 4}", 99.0 - n)
    assert work.changes == context.row.watched == context.row.swept == 0
    assert list(store.table("watch").scan_rows()) == []


Act = tuple[str, int, int]
acts = st.lists(
    st.tuples(st.sampled_from(["view", "cart", "purchase", "tell"]), st.integers(0, 3), st.integers(0, 3)), max_size=24
)


def folded(store: TaskStore, stretches: Sequence[Sequence[Act]], cuts: set[int]) -> tuple[object, ...]:
    """All that a task holds and has sent after these stretches, between which prices fall, cut at these places."""
    role = role_of("price-drop", "next", told_per_tick=2)
    catalog, context = Told(role), context_of(store)
    work, price, minute, place = role.open(context), 100.0, 0, 0
    for acts_of_one in stretches:
        records = []
        for kind, user, item in acts_of_one:
            minute += 1
            if kind == "tell":
                records.append(tick(0, T0 + minute * MINUTE, catalog.end))
            else:
                lines = [{"id": f"item-{item}"}]
                records.append(record(f"u{user}", kind, T0 + minute * MINUTE, items=lines, offset=minute))
        edges = sorted({0, len(records), *(cut - place for cut in cuts if 0 < cut - place < len(records))})
        for start, end in pairwise(edges):
            work.process(records[start:end])
            if (start + place) % 3 == 0:
                commit(context)
        place += len(records)
        price *= 0.85
        catalog.say(f"item-{len(acts_of_one) % 4}", price)
    commit(context)
    tables = {name: list(context.store.table(name).scan_rows()) for name in ("profile", "policy", "due", "watch")}
    sent = dict(context.outbox.take())
    return tables, sent.get(("decisions", 0)), sent.get(("push-candidates", 0)), context.row


@pytest.mark.parametrize("kind", ["memory", "rocks"])
def test_wherever_a_batch_is_cut_the_same_news_are_told(kind: str, tmp_path_factory) -> None:
    """And wherever a commit comes, on either back end: rows, decisions, candidates and the task's own row."""

    def fresh() -> TaskStore:
        if kind == "memory":
            return memory.open_store(UserRole.tables, IDENTITY, memory.MemoryDisk())
        kept = StateSettings()
        path = tmp_path_factory.mktemp("task") / "0"
        return rocks.open_store(path, UserRole.tables, IDENTITY, kept, rocks.RocksMemory(kept))

    @settings(max_examples=examples(10 if kind == "memory" else 4))
    @given(st.lists(acts, min_size=2, max_size=5), st.sets(st.integers(1, 100), max_size=20))
    def holds(stretches: list[list[Act]], cuts: set[int]) -> None:
        runs = [folded(fresh(), stretches, some) for some in (set(), cuts, set(range(1, 120)))]
        assert runs[1] == runs[0]
        assert runs[2] == runs[0]

    holds()
