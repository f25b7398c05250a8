"""Half an hour of a steady load, open loop, and what it does to the workers: memory, open files, disk, commits, lag.

Every ``--every`` seconds each role's own metrics are read. Target: from five minutes on the resident memory of the
workers rises by less than 1 % in ten minutes, and nothing else rises without bound. The curves are drawn into one SVG.
Users and items are a fixed population, small enough that their rows are as large as they may be within the five
minutes, so that filling rows are no part of the rise. Nor are buffers: twice in that time what is due in ten seconds is
sent at once, so that batches and what is fetched ahead have been as large as they get, where else the machine's own
pauses would have them grow at any time. How late the load was sent is told, as it shares the machine.
"""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from load_tests.harness import Cluster, arguments, cluster, machine, write
from load_tests.shop.load import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE
from streamer.demo import ROLES
from streamer.publish import publish

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from streamer.core.events import Event

#: What is read, by the name it is reported under: role, beginning of the metric's name, what to divide by.
CURVES: Final = {
    **{f"{role}_rss_mb": (role, "process_resident_memory_bytes", 2**20) for role in ROLES},
    **{f"{role}_open_files": (role, "process_open_fds", 1) for role in ROLES},
    **{f"{role}_rocksdb_mb": (role, "streamer_rocksdb_bytes", 2**20) for role in ROLES},
    **{f"{role}_lag_records": (role, "streamer_lag_records", 1) for role in ROLES},
    "replica_lag_records": ("user", "streamer_replica_lag_records", 1),
    "user_tables_memory_mb": ("user", "streamer_tables_memory_bytes", 2**20),
    "user_block_cache_mb": ("user", "streamer_block_cache_bytes", 2**20),
}
#: What is read as a mean since the reading before, in milliseconds: the histogram's name, of which role.
MEANS: Final = {
    "commit_ms": ("user", "streamer_commit_seconds"),
    "batch_ms": ("user", "streamer_batch_seconds"),
    "latency_ms": ("user", "streamer_latency_seconds"),
}
#: The load is made and sent in stretches of so many seconds, so that it need not be held whole; the next is made while
#: one is sent.
STRETCH_S: Final = 10
WARM_S: Final = 300.0
#: Stretches that are due in so many seconds from then on are sent as fast as the broker takes them.
BURST_AT_S: Final = 180
BURST_S: Final = 20
#: Rows grow with what is known, up to bounds. These are reached in the warm time by few shoppers and items, and where
#: little of what was bought is kept: with the default, 512, the rows fill for longer than the half hour.
USERS: Final = 500
ITEMS: Final = 300
PURCHASED: Final = "core.profile.purchased=32"
SPAN_S: Final = 600.0
WIDTH, HEIGHT = 900, 150


def sample(made: Cluster, before: dict[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """One reading of all curves, and the counters to take differences from next time."""
    by_role = {role: made.metrics(role) for role in ROLES}
    read = {
        name: round(sum(value for key, value in by_role[role].items() if key.startswith(metric)) / unit, 2)
        for name, (role, metric, unit) in CURVES.items()
    }
    now: dict[str, float] = {}
    for name, (role, metric) in MEANS.items():
        sums, counts = now[f"{name}_sum"], now[f"{name}_count"] = (
            by_role[role].get(f"{metric}_sum", 0.0),
            by_role[role].get(f"{metric}_count", 0.0),
        )
        seconds, times = sums - before.get(f"{name}_sum", 0.0), counts - before.get(f"{name}_count", 0.0)
        read[name] = round(1000 * seconds / max(times, 1.0), 2)
    return read, now


def stretches(load: Iterator[Event], rate: float) -> Iterator[list[Event]]:
    """The load in stretches, which happens when it is sent: the first event now, the others as the rate has it."""
    start_ms, number = time.time() * 1000, 0
    while stretch := list(islice(load, int(rate * STRETCH_S))):
        yield [
            msgspec.structs.replace(event, time=int(start_ms + (number + n) * 1000 / rate))
            for n, event in enumerate(stretch)
        ]
        number += len(stretch)


async def send(made: Cluster, load: Iterator[Event], rate: float) -> dict[str, float]:
    """Publish the load by its schedule, but for the bursts. How late the latest event was sent, ms, and the time, s."""
    coming = stretches(load, rate)
    stretch = await asyncio.to_thread(next, coming)
    started, latest_ms, sent = time.monotonic(), 0.0, 0
    while stretch:
        due, following = started + sent / rate, asyncio.create_task(asyncio.to_thread(next, coming, []))
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        paced = rate if not BURST_AT_S <= sent / rate < BURST_AT_S + BURST_S else 0.0
        told = await publish(stretch, made.client, prefix=made.settings.topics.prefix, rate=paced, keep_times=True)
        latest_ms = max(latest_ms, told["latest_ms"] + 1000 * max(0.0, time.monotonic() - due - len(stretch) / rate))
        sent += len(stretch)
        stretch = await following
    return {"published": sent, "latest_ms": round(latest_ms, 1), "seconds": round(time.monotonic() - started, 1)}


async def measure(made: Cluster, given: argparse.Namespace) -> dict[str, Any]:
    """Publish for as long as told, and read all along and until nothing is left."""
    samples: list[dict[str, float]] = []
    started = time.monotonic()
    load = shop(int(given.rate * given.seconds), users=given.users, items=given.items, seed=given.seed)
    sending = asyncio.create_task(send(made, load, given.rate))
    before: dict[str, float] = {}
    while not (sending.done() and await asyncio.to_thread(made.caught_up)):
        made.supervisor.tend()
        await asyncio.sleep(given.every)
        read, before = await asyncio.to_thread(sample, made, before)
        samples.append({"seconds": round(time.monotonic() - started, 1)} | read)
    sent = await sending
    loaded = [one for one in samples if one["seconds"] <= sent["seconds"]]
    outcomes = {name: value for name, value in made.metrics("user").items() if name.startswith("streamer_events_total")}
    return {
        "sent": sent,
        "outcomes": outcomes,
        "rise_percent_in_10_minutes": {f"{role}_rss_mb": rise(loaded, f"{role}_rss_mb") for role in ROLES},
        "restarts": sum(child.restarts for child in made.supervisor.children),
        "samples": samples,
    }


def rise(samples: Sequence[dict[str, float]], name: str) -> float | None:
    """By how many percent a curve rises in ten minutes once it is warm: a straight line fitted by least squares.

    Of the time under load alone: what comes after it, when there is little left to do, is no part of the line.
    """
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
    parser.add_argument("--users", type=int, default=USERS, help="shoppers, who come back again and again")
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--every", type=float, default=10, help="seconds between two readings")
    parser.add_argument("--svg", type=Path, help="draw the curves here")
    given = parser.parse_args()
    overrides = [f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}", PURCHASED, *given.set]
    with cluster(overrides, processes=given.processes) as made:
        made.start()
        figures = asyncio.run(measure(made, given))
    if given.svg is not None:
        given.svg.write_text(drawn(figures["samples"]))
    figures["settings"] = {"overrides": overrides, "rate": given.rate, "users": given.users, "items": given.items} | {
        "seconds": given.seconds,
        **machine(),
    }
    write(figures, given.json)


if __name__ == "__main__":
    main()
