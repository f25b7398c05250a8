"""A lost worker's tasks go on where a warm copy of their tables already is."""

from __future__ import annotations

import signal
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING

import orjson

from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import shop, warm
from tests.e2e.test_two_workers import tasks_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import System


def metric(system: System, place: int, name: str) -> float:
    """The sum of a metric's samples on the worker at ``place``; -1 if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.settings.web.port + place}/metrics", timeout=2) as page:
            lines = page.read().decode().splitlines()
    except OSError:
        return -1.0
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{"))


def test_a_killed_worker_s_tasks_go_on_from_warm_copies_and_nothing_is_lost_or_doubled(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(bootstrap, prefix, tmp_path, runtime__session_timeout_s=6, runtime__standby_replicas=1)
    with running(settings, workers=2) as system:
        system.until(lambda: sorted(tasks_of(system, 0) + tasks_of(system, 1)) == [0, 1, 2, 3], 60)
        known = warm(system)
        first = shop(users=60, events=10, name="before")
        system.send(first)
        system.drain(known + len(first), timeout_s=60)
        system.until(
            lambda: (
                metric(system, 0, "streamer_standbys_kept") == metric(system, 1, "streamer_standbys_kept") == 2.0
                and metric(system, 0, "streamer_standby_lag") == metric(system, 1, "streamer_standby_lag") == 0.0
            ),
            30,
        )
        recovered = metric(system, 0, "streamer_recovery_rows_total")

        lost = next(child for child in system.supervisor.children if child.name == "user-1")
        system.supervisor.children.remove(lost)
        assert lost.process is not None
        lost.process.send_signal(signal.SIGKILL)
        second = shop(users=60, events=10, name="after")
        system.send(second)
        counts = system.drain(known + len(first) + len(second), timeout_s=90)

        assert counts["applied"] == known + len(first) + len(second)
        assert tasks_of(system, 0) == [0, 1, 2, 3]
        # The tail at most: the copies had read all that was committed before the kill.
        assert metric(system, 0, "streamer_recovery_rows_total") - recovered <= 4
        sent = Counter(orjson.loads(r.value)["candidate_id"] for r in system.read("push-candidates"))
        assert max(sent.values()) == 1
