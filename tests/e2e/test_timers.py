"""Timers on real Kafka: they fire once, whatever becomes of the worker that has them, and a replay fires them again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streamer.core.record import TICK
from streamer.core.timers import is_of_slates, read_due_key
from streamer.replay.run import Request, replay
from streamer.replay.verify import verify
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import event, warm
from tests.e2e.test_standby import metric
from tests.e2e.test_two_workers import tasks_of

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.settings import Settings
    from tests.e2e.conftest import System

AFTER_S = 60
CAMPAIGN = f"""
says = "what lies in the cart"
[triggers]
on = ["cart"]
after = "{AFTER_S}s"
cancel_on = ["purchase"]
[message]
template = "cart.v1"
"""


def timed(bootstrap: str, prefix: str, path: Path, **overrides: object) -> Settings:
    """Settings of a system with one campaign, that waits for ``AFTER_S`` after the last cart event."""
    folder = path / "campaigns"
    folder.mkdir(exist_ok=True)
    (folder / "basket.toml").write_text(CAMPAIGN)
    campaigns = {"campaigns__on": "basket", "campaigns__folder": str(folder)}
    return settings_for(bootstrap, prefix, path, runtime__session_timeout_s=6, **campaigns, **overrides)


def carts(names: list[str], *, due_in_s: float) -> list[tuple[str, bytes | None, bytes | None]]:
    """A cart event each, so long ago that its timer is due in so many seconds."""
    ago_s = AFTER_S - due_in_s
    return [("purchase", name.encode(), event(name, 1000, "item-1", "cart", ago_s=ago_s)) for name in names]


def fired(system: System) -> dict[str, list[dict[str, Any]]]:
    """The decisions on timers, by shopper."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in system.read("decisions"):
        body = orjson.loads(record.value)
        if body.get("t"):
            found.setdefault(record.key.decode(), []).append(body)
    return found


def pending(system: System) -> dict[bytes, bytes]:
    """The rows of table ``due`` that are of timers, over all tasks."""
    rows: dict[bytes, bytes] = {}
    for record in system.read("changelog-user-due"):
        if is_of_slates(record.key.decode()):
            continue
        if record.value is None:
            rows.pop(record.key, None)
        else:
            rows[record.key] = record.value
    return rows


def ticks(system: System) -> list[int]:
    """The times of the ticks journaled."""
    return [
        first
        for record in system.read("journal")
        for batch in orjson.loads(record.value)["batches"]
        for topic, first, _ in batch["runs"]
        if topic == TICK
    ]


def kill_user_workers(system: System) -> None:
    for child in system.supervisor.children:
        if child.name.startswith("user") and child.process is not None and child.process.poll() is None:
            os.kill(child.process.pid, signal.SIGKILL)


def test_timers_fire_once_through_sigkills_before_and_after_they_are_due_and_in_a_replay(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Nothing comes after the cart events: it is the wall clock that fires them."""
    settings = timed(bootstrap, prefix, tmp_path)
    with running(settings) as system:
        known = warm(system)
        soon = [f"soon-{n}" for n in range(120)]
        later = [f"later-{n}" for n in range(120)]
        started = time.time()
        system.send(carts(soon, due_in_s=4) + carts(later, due_in_s=25) + carts(["bought"], due_in_s=4))
        system.send([("purchase", b"bought", event("bought", 1001, "item-1", "purchase", ago_s=0))])
        system.drain(known + 242)
        system.until(lambda: set(fired(system)) == set(soon), 60)
        kill_user_workers(system)  # some of what fired is not on its disk, and ``later`` is not due
        # The row of what was bought goes at the first tick behind its time, which may be yet to come.
        assert {read_due_key(key.decode())[1] for key in pending(system)} - {"bought"} == set(later)
        system.until(lambda: len(tasks_of(system, 0)) == 4, 60)
        assert not set(fired(system)) & set(later)
        kill_user_workers(system)  # and now as they are about to be due
        system.until(lambda: time.time() > started + 25, 60)
        system.until(lambda: bool(set(fired(system)) & set(later)), 60)
        kill_user_workers(system)  # in the middle of their firing, as far as a test can tell
        system.until(lambda: set(fired(system)) == {*soon, *later}, 60)
        system.until(lambda: pending(system) == {}, 30)
        system.until(lambda: metric(system, 0, "streamer_timers_late_seconds") == 0.0, 30)
        assert all(len(decisions) == 1 for decisions in fired(system).values())
        for decisions in fired(system).values():
            assert decisions[0]["c"] == "basket"
            assert decisions[0]["o"].startswith("purchase:")
        sent = Counter(orjson.loads(r.value)["candidate_id"] for r in system.read("push-candidates"))
        assert len(sent) > 50
        assert max(sent.values()) == 1
        found = ticks(system)
        assert len(found) > 4
    report = asyncio.run(replay(settings, Request("again"), lambda *_: None))
    assert report.parted == []
    assert report.records == known + 242
    assert report.candidates == len(sent)
    verdict = asyncio.run(verify(settings, "live", "again"))
    assert (verdict.first, verdict.apart) == ([], [])


@pytest.mark.parametrize("copies", [0, 1])
def test_a_timer_goes_with_its_task_to_another_worker(bootstrap: str, prefix: str, tmp_path: Path, copies: int) -> None:
    """A worker is lost for good before its timers are due; the other one fires them, from changelogs or a warm copy."""
    settings = timed(bootstrap, prefix, tmp_path, runtime__standby_replicas=copies)
    with running(settings, workers=2) as system:
        system.until(lambda: sorted(tasks_of(system, 0) + tasks_of(system, 1)) == [0, 1, 2, 3], 60)
        known = warm(system)
        names = [f"shopper-{n}" for n in range(80)]
        system.send(carts(names, due_in_s=20))
        system.drain(known + len(names))
        kept, behind = "streamer_standbys_kept", "streamer_standby_lag"
        system.until(lambda: metric(system, 0, kept) == 2.0 * copies and metric(system, 0, behind) <= 0.0, 30)
        assert fired(system) == {}
        leaver = next(child for child in system.supervisor.children if child.name == "user-1")
        system.supervisor.children.remove(leaver)
        assert leaver.process is not None
        leaver.process.send_signal(signal.SIGKILL)
        leaver.process.wait(timeout=30)
        system.until(lambda: set(fired(system)) == set(names), 90)
        assert tasks_of(system, 0) == [0, 1, 2, 3]
        assert all(len(decisions) == 1 for decisions in fired(system).values())
        system.until(lambda: metric(system, 0, "streamer_timers_pending") == 0.0, 30)


def test_without_a_clock_of_its_own_an_idle_task_leaves_its_timers_to_the_next_event(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Whose time is then the stream's, whatever the wall clock says."""
    settings = timed(bootstrap, prefix, tmp_path, runtime__idle_tick_ms=0)
    with running(settings) as system:
        known = warm(system)
        names = [f"shopper-{n}" for n in range(40)]
        due = time.time() + 2
        system.send(carts(names, due_in_s=2))
        system.drain(known + len(names))
        system.until(lambda: time.time() > due + 1, 10)
        assert (fired(system), ticks(system)) == ({}, [])
        others = [f"other-{n}" for n in range(40)]
        system.send([("browse", name.encode(), event(name, 1, "item-2")) for name in others])
        system.drain(known + len(names) + len(others))
        system.until(lambda: set(fired(system)) == set(names), 30)
        assert all(len(decisions) == 1 for decisions in fired(system).values())
