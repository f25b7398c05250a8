"""What is read off a cluster under load: memory at its peak, bytes written to the disk, commits, the pace."""

from __future__ import annotations

import asyncio
import contextlib
import re
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from load_tests.harness import Cluster

SAMPLED_EVERY_S: Final = 0.5
WINDOW_S: Final = 5.0
SHARES: Final = (("p99_below", 0.99), ("all_below", 1.0))


def peak(made: Cluster, *, anew: bool = False) -> dict[str, int]:
    """The most bytes that each worker held, or with ``anew`` what it holds now, from where the peak begins anew."""
    held = {}
    for child in made.supervisor.children:
        assert child.process is not None
        folder = Path(f"/proc/{child.process.pid}")
        if anew:
            (folder / "clear_refs").write_text("5")
        found = re.search(r"^VmHWM:\s+(\d+) kB", (folder / "status").read_text(encoding="ascii"), re.MULTILINE)
        assert found is not None
        held[child.name] = int(found[1]) * 1024
    return held


def written_bytes(made: Cluster) -> dict[str, int]:
    """What Kafka and the user workers have handed to the disk so far (Linux)."""
    pids = [
        child.process.pid for child in made.supervisor.children if child.role == "user" and child.process is not None
    ]
    told = {pid: Path(f"/proc/{pid}/io").read_text() for pid in [made.broker.pid, *pids]}
    found = {pid: int(text.split("write_bytes: ")[1].split()[0]) for pid, text in told.items()}
    return {"kafka": found.pop(made.broker.pid), "user": sum(found.values())}


def commits(samples: dict[str, float]) -> dict[str, float]:
    """Mean time of a commit, and the bound of the histogram that the 99th percentile and the slowest one lie below."""
    count = samples["streamer_commit_seconds_count"]
    bounds = sorted(
        (float(name.split('le="')[1].split('"')[0]), below)
        for name, below in samples.items()
        if name.startswith("streamer_commit_seconds_bucket")
    )
    return {
        "mean": round(1000 * samples["streamer_commit_seconds_sum"] / max(count, 1), 1),
        **{name: next(1000 * bound for bound, below in bounds if below >= share * count) for name, share in SHARES},
    }


class Rates:
    """How many events were processed in each half second, and the most that waited."""

    def __init__(self) -> None:
        self.lag = 0
        self._counts: list[tuple[float, float]] = []

    async def watch(self, made: Cluster) -> None:
        """Read on until cancelled."""
        while True:
            with contextlib.suppress(OSError):  # of a worker that is being restarted
                self._take(await asyncio.to_thread(made.metrics, "user"))
            await asyncio.sleep(SAMPLED_EVERY_S)

    def _take(self, samples: dict[str, float]) -> None:
        self.lag = max(self.lag, int(sum(v for k, v in samples.items() if k.startswith("streamer_lag_records"))))
        done = sum(v for k, v in samples.items() if k.startswith("streamer_events_total"))
        self._counts.append((time.monotonic(), done))

    def slowest(self) -> list[float]:
        """Events a second: the slowest five seconds under load, the median. The first and the last are left out."""
        window = round(WINDOW_S / SAMPLED_EVERY_S)
        rates = [
            (self._counts[n + window][1] - self._counts[n][1]) / (self._counts[n + window][0] - self._counts[n][0])
            for n in range(len(self._counts) - window)
        ]
        under_load = rates[window : -window - 1]
        return [round(min(under_load)), round(statistics.median(under_load))] if under_load else []
