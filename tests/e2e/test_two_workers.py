"""Two user workers share the tasks and behave as one; one that joins has its replicas before it scores."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING

import orjson

from streamer.supervisor import Supervisor
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import shop, warm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import System


def tasks_of(system: System, place: int) -> list[int]:
    """The tasks that the worker at ``place`` says it owns; none if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.settings.web.port + place}/readyz", timeout=2) as answer:
            found: list[int] = json.load(answer)["tasks"]
            return found
    except OSError:
        return []


def test_two_workers_share_the_tasks_and_a_load_goes_through_join_and_leave(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(bootstrap, prefix, tmp_path, runtime__session_timeout_s=6)
    with running(settings, workers=2) as system:
        system.until(lambda: sorted(tasks_of(system, 0) + tasks_of(system, 1)) == [0, 1, 2, 3], 60)
        assert len(tasks_of(system, 0)) == len(tasks_of(system, 1)) == 2
        known = warm(system)
        first = shop(users=60, events=10, name="joined")
        system.send(first)

        # One worker leaves in the middle; its tasks, with their state, go on in the other.
        leaver = next(child for child in system.supervisor.children if child.name == "user-1")
        system.supervisor.children.remove(leaver)
        assert leaver.process is not None
        leaver.process.send_signal(signal.SIGTERM)
        leaver.process.wait(timeout=30)
        second = shop(users=60, events=10, name="left")
        system.send(second)
        counts = system.drain(known + len(first) + len(second), timeout_s=90)

        assert counts["applied"] == known + len(first) + len(second)
        assert tasks_of(system, 0) == [0, 1, 2, 3]
        sent = Counter(orjson.loads(r.value)["candidate_id"] for r in system.read("push-candidates"))
        assert {record.partition for record in system.read("push-candidates")} == {0, 1, 2, 3}
        assert max(sent.values()) == 1


def test_a_worker_that_is_stopped_hands_over_at_once_and_need_not_be_missed_first(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Long before its session would have run out."""
    settings = settings_for(
        bootstrap, prefix, tmp_path, runtime__session_timeout_s=120, runtime__progress_timeout_s=300
    )
    with running(settings, workers=2) as system:
        system.until(lambda: len(tasks_of(system, 0)) == len(tasks_of(system, 1)) == 2, 60)
        leaver = next(child for child in system.supervisor.children if child.name == "user-1")
        system.supervisor.children.remove(leaver)
        assert leaver.process is not None
        leaver.process.send_signal(signal.SIGTERM)
        system.until(lambda: tasks_of(system, 0) == [0, 1, 2, 3], 60)
        assert leaver.process.wait(timeout=30) == 0


def test_the_supervisor_starts_as_many_user_workers_as_it_is_told(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    supervisor = Supervisor(("user", "item"), 3, settings_for(bootstrap, prefix, tmp_path))
    assert [child.name for child in supervisor.children] == ["user-0", "user-1", "user-2", "item-0"]
    ports = {supervisor.environment(place)["STREAMER_WEB__PORT"] for place in range(4)}
    assert len(ports) == 4
