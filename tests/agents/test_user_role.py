"""What the user role sends of sessions, and that its replica takes it over."""

from __future__ import annotations

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.roles.user import UserRole
from state.memory import MemoryDisk, open_store
from state.store import TaskIdentity
from streamer.core.settings import CoreSettings
from tests.core.task_shop import T0, record


def make_role() -> UserRole:
    def fail(what: str, exc: BaseException) -> None:
        raise AssertionError(what) from exc

    return UserRole(
        CoreSettings(),
        topic=lambda name: name,
        client={},
        metrics=Metrics(role="user"),
        fail=fail,
        item_partitions=1,
        commit_interval_s=0.1,
    )


def opened(role: UserRole):
    store = open_store(role.tables, TaskIdentity("user", 0, 1), MemoryDisk())
    context = TaskContext(0, 1, store, Outbox(), TaskRow({}), lambda name: name, Metrics(role="user"), None)
    return context, role.open(context)


def view(user: str, item: str, seconds: int):
    return record(user, "view", T0 + seconds * 1000, items=[{"id": item}])


def sent(context, work) -> list[tuple[bytes, bytes | None]]:
    """The records of a commit on topic ``sessions``."""
    work.before_commit()
    context.store.take_changes()
    context.store.committed({})
    taken = dict(context.outbox.take())
    return [(key, value) for key, value, *_ in taken.get(("sessions", 0), ())]


def held(role: UserRole) -> dict[str, list[str]]:
    index = role.known.items
    return {key: [f"{index.keys[item]:016x}" for item in items] for key, items, _ in index.sessions.held()}


def test_a_session_is_sent_once_a_commit_as_it_is_then_and_again_when_it_has_grown():
    context, work = opened(make_role())
    work.process([view("u", "a", 0), view("u", "b", 1), view("v", "a", 2)])
    work.process([view("u", "c", 3)])
    ((key, first),) = sent(context, work)
    assert key == b"1/u"
    assert sent(context, work) == []
    work.process([view("u", "d", 4)])
    ((key, second),) = sent(context, work)
    assert key == b"1/u"
    assert first != second
    reader = make_role()
    for value in (first, second):
        reader.known.appliers["sessions"](key, value)
    assert [len(items) for items in held(reader).values()] == [4]


def test_a_worker_that_reads_it_offers_what_others_looked_at():
    """From one role to another: b is offered to who looks at a, from the session alone."""
    context, work = opened(make_role())
    work.process([view("u", "a", 0), view("u", "b", 1)])
    reader = make_role()
    for key, value in sent(context, work):
        reader.known.appliers["sessions"](key, value)
    assert list(held(reader)) == ["1/u"]
    index = reader.known.items
    place, _ = index.sessions.holding(index.dense_many([int(k, 16) for k in held(reader)["1/u"]]))
    assert place.tolist() == [0, 1]


def test_an_erased_shopper_leaves_no_session_even_if_they_come_back_at_once():
    context, work = opened(make_role())
    reader = make_role()
    for session in range(3):
        work.process([view("u", f"{session}", session * 7200), view("u", "x", session * 7200 + 1)])
        for key, value in sent(context, work):
            reader.known.appliers["sessions"](key, value)
    assert sorted(held(reader)) == ["1/u", "2/u", "3/u"]
    erase = record("u", "preferences", T0 + 20_000_000, preferences={"erase": True})
    work.process([erase, view("u", "y", 20_001), view("u", "z", 20_002)])
    for key, value in sent(context, work):
        reader.known.appliers["sessions"](key, value)
    assert list(held(reader)) == ["1/u"]
    assert len(held(reader)["1/u"]) == 2


def test_a_damaged_session_is_counted_and_left_out():
    reader = make_role()
    reader.known.appliers["sessions"](b"1/u", b"\xc1")
    reader.known.appliers["sessions"](None, b"\xff")
    reader.known.appliers["sessions"](b"\xff", b"\x90")
    assert held(reader) == {}
