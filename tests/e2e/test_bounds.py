"""A worker's memory has bounds that no input passes: hundreds of huge records, a broker that stops answering."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamer.broker import EmbeddedBroker
from streamer.core.partition import partition_of
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import event, shop, warm

if TYPE_CHECKING:
    from tests.e2e.conftest import System

MIB = 1 << 20


def memory(system: System, name: str, what: str) -> int:
    """``VmRSS`` (held now) or ``VmHWM`` (the most it ever was) of a worker, bytes."""
    child = next(child for child in system.supervisor.children if child.name == name)
    assert child.process is not None
    status = Path(f"/proc/{child.process.pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def test_a_backlog_of_gigabytes_behind_a_few_megabytes_of_compressed_records_is_not_held(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """What a broker hands over at once is bounded as it is sent; one such answer holds hundreds of these records."""
    settings = settings_for(bootstrap, prefix, tmp_path, runtime__buffer_bytes=2 * MIB, runtime__commit_bytes=2 * MIB)
    large, each = 600, 2 * MIB
    with running(settings) as system:
        known = warm(system)
        before = memory(system, "user-0", "VmRSS")
        user = next(f"user-{n}" for n in range(100) if partition_of(f"user-{n}", 4) == 0)
        value = event(user, 1000, "item-1", title="y" * each)
        system.supervisor.stop()
        system.send([("browse", user.encode(), value)] * large, compression="gzip")
        good = shop(users=10, events=5, name="good")
        system.send(good)
        system.start()
        counts = system.drain(known + large + len(good), timeout_s=120)

        assert counts["dead_letter"] == large == len(system.read("dead-letters"))
        assert counts["applied"] == known + len(good)
        # Sixteen records and what they were unpacked from; what is buffered, and folded for two commits, is less.
        assert memory(system, "user-0", "VmHWM") - before < 200 * MIB < large * each


def test_a_broker_that_stops_answering_for_a_while_costs_no_event_and_no_memory(prefix: str, tmp_path: Path) -> None:
    with EmbeddedBroker() as broker, running(settings_for(broker.bootstrap, prefix, tmp_path)) as system:
        assert broker.pid is not None
        known = warm(system)
        rows = shop(users=200, events=20, name="shopper")
        half = len(rows) // 2
        system.send(rows[:half])
        before = memory(system, "user-0", "VmRSS")
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            # How long it is away, not a wait: nobody can tell that nothing happens.
            with pytest.raises(AssertionError, match="not within"):
                system.until(lambda: False, 5)
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        system.send(rows[half:])
        counts = system.drain(known + len(rows), timeout_s=90)
        assert counts["applied"] == known + len(rows)
        assert memory(system, "user-0", "VmHWM") - before < 100 * MIB
