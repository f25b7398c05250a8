"""Table ``due`` as a task keeps it, and the user role's timers on it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.due import DueTable
from agents.role import NEVER, TaskRow
from agents.roles.user import UserRole
from agents.task import TASKS_TABLE
from state.errors import StateCorrupt
from state.memory import MemoryDisk, open_store
from state.store import TaskIdentity
from streamer.core.campaigns.campaign import NEXT, Campaign, Message, Triggers
from streamer.core.record import Record, tick
from streamer.core.settings import CoreSettings
from streamer.core.timers import due_key
from tests.agents.test_user_role import make_role, opened, view
from tests.core.task_shop import T0, browsing, record
from tests.examples import examples

if TYPE_CHECKING:
    from agents.role import TaskContext
    from agents.roles.user import UserWork

MINUTE = 60_000
CART = Campaign(
    name="cart",
    triggers=Triggers(on=("cart",), after_ms=30 * MINUTE, cancel_on=("purchase",)),
    message=Message(template="cart.v1"),
)


def table():
    store = open_store(UserRole.tables, TaskIdentity("user", 0, 1), MemoryDisk())
    return store, DueTable(store.table("due"), 0)


users = st.sampled_from(("a", "b", "/", "\U0010ffff"))
rows = st.lists(st.tuples(st.integers(0, 30), users, st.booleans()), max_size=6)


@given(st.lists(st.tuples(rows, st.integers(0, 30), st.integers(1, 4), st.booleans()), max_size=12))
def test_the_first_rows_are_those_of_a_sorted_set_wherever_commits_come(steps) -> None:
    """Also for a task that opens the table anew with what its row says."""
    store, due = table()
    held: set[tuple[int, str]] = set()
    for changes, until_ms, limit, commits in steps:
        due.write({due_key(at, user): None if gone else b"" for at, user, gone in changes})
        last = {(at, user): gone for at, user, gone in changes}
        held = {row for row in held | last.keys() if not last.get(row, False)}
        if commits:
            store.take_changes()
            store.committed({})
            due = DueTable(store.table("due"), due.first_ms)
        assert due.first_ms == min((at for at, _ in held), default=NEVER)
        assert due.first(until_ms, limit) == [due_key(*row) for row in sorted(held) if row[0] <= until_ms][:limit]


def test_a_key_that_is_none_is_a_damaged_table() -> None:
    """No event is to blame for it: the task ends, and none is taken for a dead letter."""
    store, _ = table()
    store.table("due").put("00000000000017?/u", b"")
    with pytest.raises(StateCorrupt, match="no key of what is due"):
        DueTable(store.table("due"), 0)


def cart(user: str, minutes: float, **more: object):
    return record(user, "cart", T0 + int(minutes * MINUTE), id=f"{user}-{minutes}", items=[{"id": "tent"}], **more)


def with_timers(**timers: int) -> UserRole:
    role = make_role()
    role.core = replace(CoreSettings(), campaigns=(CART,))
    if timers:
        role.core = replace(role.core, timers=replace(role.core.timers, **timers))
    return role


def decided(context: TaskContext) -> list[tuple[str, str]]:
    """Who was decided on since the last time, and how."""
    taken = dict(context.outbox.take())
    rows = taken.get(("decisions", 0), ())
    return [((key or b"").decode(), orjson.loads(value or b"")["r"]) for key, value, *_ in rows]


def at(work: UserWork, minutes: float) -> None:
    work.process([tick(0, T0 + int(minutes * MINUTE))])


def test_a_timer_is_counted_from_its_arming_to_its_firing_and_fires_once() -> None:
    """The number is in the task's own row, so that nobody has to count a million of them."""
    context, work = opened(with_timers())
    assert (work.due_ms, context.row.timers) == (NEVER, 0)
    work.process([cart("u", 0), cart("v", 1), view("w", "tent", 60)])
    assert (work.due_ms, context.row.timers, context.row.due_ms) == (T0 + 30 * MINUTE, 2, T0 + 30 * MINUTE)
    work.process([cart("u", 5)])  # moves its timer, and writes no row for that
    assert (work.due_ms, context.row.timers) == (T0 + 30 * MINUTE, 2)
    assert decided(context) == []
    at(work, 30)  # the row is reached, the timer is due later
    assert (work.due_ms, context.row.timers, work.reached) == (T0 + 31 * MINUTE, 2, 1)
    assert decided(context) == []
    at(work, 34)
    assert (work.due_ms, context.row.timers) == (T0 + 35 * MINUTE, 1)
    assert [user for user, _ in decided(context)] == ["v"]
    at(work, 40)
    at(work, 50)
    assert (work.due_ms, context.row.timers, work.reached) == (NEVER, 0, 0)
    assert [user for user, _ in decided(context)] == ["u"]
    assert context.row.now == T0 + 50 * MINUTE


def test_a_purchase_takes_the_timer_back_and_an_erased_shopper_leaves_no_row() -> None:
    """The row would name them for as long as the timer would have taken."""
    context, work = opened(with_timers())
    work.process([cart("u", 0), cart("v", 0)])
    work.process([record("u", "purchase", T0 + MINUTE, items=[{"id": "tent"}])])
    assert context.row.timers == 1
    work.process([record("v", "preferences", T0 + 2 * MINUTE, preferences={"erase": True})])
    assert context.row.timers == 0
    assert work._due.first(T0 + 60 * MINUTE, 9) == [due_key(T0 + 30 * MINUTE, "u")]
    at(work, 30)
    assert decided(context) == []
    assert work.due_ms == NEVER


def test_a_task_that_begins_anew_goes_on_with_its_timers() -> None:
    """From its tables and its own row alone."""
    role = with_timers()
    context, work = opened(role)
    work.process([cart("u", 0), cart("v", 3)])
    at(work, 31)
    context.store.table(TASKS_TABLE).put("0", context.row)
    context.store.take_changes()
    context.store.committed({})
    row = context.store.table(TASKS_TABLE).get("0")
    assert isinstance(row, TaskRow)
    context.row = row
    decided(context)
    again = role.open(context)
    assert (again.due_ms, row.timers) == (T0 + 33 * MINUTE, 1)
    at(again, 33)
    assert [user for user, _ in decided(context)] == ["v"]


def test_more_shoppers_than_a_tick_takes_wait_for_the_next() -> None:
    """The earliest first."""
    context, work = opened(with_timers(fired_per_tick=2))
    work.process([cart(f"u{n}", n) for n in (3, 1, 2, 0)])
    at(work, 60)
    assert ([user for user, _ in decided(context)], work.reached) == (["u0", "u1"], 2)
    assert work.due_ms == T0 + 32 * MINUTE
    at(work, 60)
    assert [user for user, _ in decided(context)] == ["u2", "u3"]


def test_timers_that_cannot_fire_are_dropped_with_a_dead_letter_and_the_others_fire(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or they would be due at every tick to come."""
    context, work = opened(with_timers())
    work.process([cart("u", 0), cart("bad", 0), cart("v", 0)])
    step = work._engine.step

    def breaks(records, views, **where):
        if any(key.endswith("/bad") for key in views.due.first(records[0].offset, 9)):
            raise RuntimeError("no model")
        return step(records, views, **where)

    monkeypatch.setattr(work._engine, "step", breaks)
    at(work, 31)
    taken = dict(context.outbox.take())
    assert [row[0] for row in taken["decisions", 0]] == [b"u", b"v"]
    (letter,) = taken["dead-letters", 0]
    assert (letter[0], dict(letter[2])["dl_reason"]) == (b"bad", b"handler_error")
    assert (work.due_ms, context.row.timers) == (NEVER, 0)


def folded(records: list[Record], cuts: list[int]) -> tuple[object, ...]:
    """All that a task holds and has sent after these records, cut before each of these places."""
    context, work = opened(with_timers())
    work._role.core = replace(work._role.core, campaigns=(CART, NEXT))
    work = work._role.open(context)
    edges = [0, *sorted(set(cuts)), len(records)]
    for start, end in pairwise(edges):
        if start < end:
            work.process(records[start:end])
    tables = {name: list(context.store.table(name).scan_rows()) for name in ("profile", "seen", "policy", "due")}
    sent = dict(context.outbox.take())
    return tables, sent.get(("decisions", 0)), sent.get(("push-candidates", 0)), context.row


STREAM = [
    record
    for place, event in enumerate(browsing(300, users=8, step_ms=40_000))
    for record in ([tick(0, event.timestamp + MINUTE)] if place % 7 == 0 else []) + [event]
]


@settings(max_examples=examples(12))
@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=40))
def test_wherever_a_batch_is_cut_the_same_timers_fire_between_the_same_events(cuts: list[int]) -> None:
    """Ticks in the middle of a batch included, which only a replay could make."""
    whole = folded(STREAM, [])
    assert sum(orjson.loads(row[1] or b"").get("t", 0) > 0 for row in whole[1]) > 5  # type: ignore[attr-defined]
    assert folded(STREAM, cuts) == whole
