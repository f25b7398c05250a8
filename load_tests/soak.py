"""Half an hour of a steady load, open loop, and what it does to the workers: memory, open files, disk, commits, lag.

Every ``--every`` seconds each role's own metrics are read. Target: from five minutes on the resident memory of the user
workers rises by less than 1 % in ten minutes, and nothing else rises without bound. The curves are drawn into one SVG.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from load_tests.harness import Cluster, arguments, cluster, journal_totals, machine, write
from load_tests.shop import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE
from streamer.publish import publish

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: What is read, by the name it is reported under: role, beginning of the metric's name, what to divide by.
CURVES: Final = {
    "user_rss_mb": ("user", "process_resident_memory_bytes", 2**20),
    "item_rss_mb": ("item", "process_resident_memory_bytes", 2**20),
    "trainer_rss_mb": ("trainer", "process_resident_memory_bytes", 2**20),
    "user_open_files": ("user", "process_open_fds", 1),
    "rocksdb_mb": ("user", "streamer_rocksdb_bytes", 2**20),
    "lag_records": ("user", "streamer_lag_records", 1),
    "replica_lag_records": ("user", "streamer_replica_lag_records", 1),
}
WARM_S: Final = 300.0
SPAN_S: Final = 600.0
WIDTH, HEIGHT = 900, 150


def sample(made: Cluster, before: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """One reading of all curves, and the counters to take differences from next time."""
    by_role = {role: made.metrics(role) for role in ("user", "item", "trainer")}
    read = {
        name: round(sum(value for key, value in by_role[role].items() if key.startswith(metric)) / unit, 2)
        for name, (role, metric, unit) in CURVES.items()
    }
    now = {
        "seconds": by_role["user"]["streamer_commit_seconds_sum"],
        "commits": by_role["user"]["streamer_commit_seconds_count"],
    }
    commits = now["commits"] - before.get("commits", 0.0)
    read["commit_ms_mean"] = round(1000 * (now["seconds"] - before.get("seconds", 0.0)) / max(commits, 1.0), 2)
    return read, now


async def measure(made: Cluster, given: argparse.Namespace) -> dict[str, Any]:
    """Publish for as long as told, and read all along and until nothing is left."""
    total = int(given.rate * given.seconds)
    samples: list[dict[str, float]] = []
    started = time.monotonic()
    sending = asyncio.create_task(
        publish(list(shop(total, seed=given.seed)), made.client, prefix=made.settings.topics.prefix, rate=given.rate)
    )
    before: dict[str, float] = {}
    while not (sending.done() and await asyncio.to_thread(made.caught_up)):
        made.supervisor.tend()
        await asyncio.sleep(given.every)
        read, before = await asyncio.to_thread(sample, made, before)
        samples.append({"seconds": round(time.monotonic() - started, 1)} | read)
    sent = await sending
    journal, _ = journal_totals(await made.records("journal"))
    return {
        "events_per_second": sent["events_per_second"],
        "events": {"published": total, **journal},
        "sent_late_ms": sent["latest_ms"],
        "user_rss_rise_percent_in_10_minutes": rise(samples),
        "restarts": sum(child.restarts for child in made.supervisor.children),
        "samples": samples,
    }


def rise(samples: Sequence[dict[str, float]], name: str = "user_rss_mb") -> float | None:
    """By how many percent a curve rises in ten minutes once it is warm: a straight line fitted by least squares."""
    points = [(s["seconds"], s[name]) for s in samples if s["seconds"] >= WARM_S]
    if len(points) < 3:
        return None
    mean_t = sum(t for t, _ in points) / len(points)
    mean_v = sum(v for _, v in points) / len(points)
    slope = sum((t - mean_t) * (v - mean_v) for t, v in points) / sum((t - mean_t) ** 2 for t, _ in points)
    return round(100 * slope * SPAN_S / mean_v, 3)


def drawn(samples: Sequence[dict[str, float]]) -> str:
    """The curves, one below the other, as SVG."""
    names = [name for name in samples[0] if name != "seconds"]
    last = max(s["seconds"] for s in samples) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT * len(names)}" font-family="sans">'
    ]
    for row, name in enumerate(names):
        top, highest = row * HEIGHT, max(s[name] for s in samples) or 1.0
        points = " ".join(
            f"{s['seconds'] / last * WIDTH:.1f},{top + HEIGHT - 5 - s[name] / highest * (HEIGHT - 30):.1f}"
            for s in samples
        )
        parts.append(f'<text x="5" y="{top + 15}" font-size="12">{name}, at most {highest:g}</text>')
        parts.append(f'<polyline points="{points}" fill="none" stroke="black"/>')
    return "\n".join([*parts, "</svg>"])


def main() -> None:
    """Measure, draw and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rate", type=float, default=5_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=1_800)
    parser.add_argument("--every", type=float, default=10, help="seconds between two readings")
    parser.add_argument("--svg", type=Path, help="draw the curves here")
    given = parser.parse_args()
    overrides = [f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}", *given.set]
    with cluster(overrides, processes=given.processes) as made:
        made.start()
        figures = asyncio.run(measure(made, given))
    if given.svg is not None:
        given.svg.write_text(drawn(figures["samples"]))
    figures["settings"] = {"overrides": overrides, "rate": given.rate, "seconds": given.seconds, **machine()}
    write(figures, given.json)


if __name__ == "__main__":
    main()
