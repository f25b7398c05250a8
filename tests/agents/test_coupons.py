"""What coupons have cost is part of the task's own row: a restart forgets none of it, whatever it is kept in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.roles.user import UserRole
from agents.task import TASKS_TABLE
from state import memory, rocks
from state.codecs import StructCodec
from state.settings import StateSettings
from state.store import TaskIdentity
from streamer.core.campaigns.budget import Spent
from streamer.core.settings import HOUR_MS, CoreSettings
from streamer.core.uplift.model import CONVERSION, UPLIFT
from tests.agents.test_metrics import samples
from tests.core.task_shop import record
from tests.core.test_coupons import OPEN, PERSUADABLE, START, campaign

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from state.store import TaskStore

IDENTITY = TaskIdentity("user", 0, 1)


@pytest.fixture(params=["memory", "rocksdb"])
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], TaskStore]:
    """The task's tables, as they were left."""
    if request.param == "memory":
        disk = memory.MemoryDisk()
        return lambda: memory.open_store(UserRole.tables, IDENTITY, disk)
    settings = StateSettings(write_buffer_bytes=1 << 18)
    return lambda: rocks.open_store(tmp_path / "task", UserRole.tables, IDENTITY, settings)


def role() -> UserRole:
    def fail(what: str, exc: BaseException) -> None:
        raise AssertionError(what) from exc

    made = UserRole(
        CoreSettings(policy=OPEN, campaigns=(campaign(budget_per_day=2.0, budget=3.0),)),
        topic=lambda name: name,
        client={},
        metrics=Metrics(role="user"),
        fail=fail,
        item_partitions=1,
        commit_interval_s=0.1,
    )
    for n in range(10):
        made.known.appliers["catalog"](b"item-%d" % n, json.dumps({"title": f"Thing {n}", "price": 6.0}).encode())
    made.known.appliers["model"]((UPLIFT + CONVERSION).encode(), PERSUADABLE)
    return made


def test_coupons_sent_before_a_restart_count_after_it(opens: Callable[[], TaskStore]) -> None:
    """A restart between any two carts: two are given on the first day, one on the second, and that is all there is."""
    reasons: list[str] = []
    cents = 0
    for n in range(6):
        store = opens()
        row = store.table(TASKS_TABLE).get("0") or TaskRow({})
        context = TaskContext(0, 1, store, Outbox(), row, lambda name: name, Metrics(role="user"), None)
        work = role().open(context)
        work.process([record(f"user-{n}", "cart", START + n * 8 * HOUR_MS, item=f"item-{n}")])
        work.before_commit()
        store.table(TASKS_TABLE).put("0", context.row)
        store.take_changes()
        store.committed({})
        sent = dict(context.outbox.take())
        for decision in (json.loads(value or b"") for _, value, *_ in sent["decisions", 0]):
            reasons.append(decision["r"])
            cents += decision.get("k", 0)
        assert len(sent.get(("push-candidates", 0), ())) == (reasons[-1] == "sent")
        store.close()
    assert reasons == ["sent", "sent", "over_budget", "sent", "over_budget", "over_budget"]
    assert cents == 300
    last = opens()
    row = last.table(TASKS_TABLE).get("0")
    assert row is not None
    assert row.spent == {"give": Spent(START // 86_400_000 + 1, 100, 300)}
    last.close()


def test_the_metrics_tell_what_coupons_have_cost_and_what_is_left_of_the_tasks_part() -> None:
    """Of the day and of the whole, the less; a new day of the stream's time has its own; a restart tells it at once."""
    store = memory.open_store(UserRole.tables, IDENTITY, memory.MemoryDisk())
    metrics = Metrics(role="user")
    context = TaskContext(0, 1, store, Outbox(), TaskRow({}), lambda name: name, metrics, None)
    work = role().open(context)
    told = [budget(metrics)]
    for at in (0, 1, 24, 25):
        kind = "view" if at == 24 else "cart"
        work.process([record(f"user-{at}", kind, START + at * HOUR_MS, item=f"item-{at % 10}")])
        work.before_commit()
        told.append(budget(metrics))
    assert told == [(0, 200), (100, 100), (200, 0), (200, 100), (300, 0)]

    again = Metrics(role="user")
    role().open(TaskContext(0, 1, store, Outbox(), context.row, lambda name: name, again, None))
    assert budget(again) == (300, 0)


def budget(metrics: Metrics) -> tuple[float, float]:
    """Cents spent and cents left of the campaign, as a scraper reads them."""
    told = samples(metrics)
    return told["streamer_coupons_spent_cents", "give", "0"], told["streamer_coupons_left_cents", "give", "0"]


class RowBefore(msgspec.Struct):
    """A task's row before there were coupons."""

    positions: dict[str, int]
    now: int
    timers: int
    due_ms: int


def test_a_row_of_before_coupons_has_spent_nothing() -> None:
    """Fields were added at its end: the version is the same."""
    old = StructCodec(RowBefore).encode(RowBefore({"browse": 7}, 5, 2, 9))
    assert StructCodec(TaskRow).decode(old) == TaskRow({"browse": 7}, 5, 2, 9, {})
