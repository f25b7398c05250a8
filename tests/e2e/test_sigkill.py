"""A worker killed in the middle of a load: every event counted once, every candidate once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import orjson

from agents.roles.user import UserRole
from tests.e2e.test_pipeline import shop

if TYPE_CHECKING:
    from tests.e2e.conftest import System

KILLS = 4


def test_sigkill_in_the_middle_of_a_load_loses_and_doubles_nothing(system: System) -> None:
    rows = shop(users=300, events=40)

    def send_in_pieces() -> None:
        for i in range(0, len(rows), 600):
            system.send(rows[i : i + 600])

    load = threading.Thread(target=send_in_pieces)
    load.start()
    killed = 0
    for _ in range(KILLS):
        for child in system.supervisor.children:
            if child.process is not None and child.process.poll() is None:
                os.kill(child.process.pid, signal.SIGKILL)
                killed += 1
        time.sleep(0)  # let the load thread run; what follows waits on a condition
        before = sum(system.outcomes().values())
        system.until(lambda before=before: sum(system.outcomes().values()) > before, 60)  # type: ignore[misc]  # default argument
    load.join()
    counts = system.drain(len(rows), timeout_s=90)
    assert killed >= KILLS
    assert counts["applied"] == len(rows)

    profiles: dict[bytes, bytes] = {
        r.key: r.value for r in system.read("changelog-user-profile") if r.value is not None
    }
    codec = UserRole.tables[0].codec
    assert sum(sum(codec.decode(row).counts) for row in profiles.values()) == len(rows)

    sent = Counter(orjson.loads(r.value)["candidate_id"] for r in system.read("push-candidates"))
    assert sent
    assert max(sent.values()) == 1
    decided = Counter(d["d"] for r in system.read("decisions") if (d := orjson.loads(r.value))["r"] == "sent")
    assert decided == sent
