"""How many events a second the full pipeline takes: every role and Kafka on this machine, exactly once.

A backlog of a seeded shop is published first; then the workers start and run until every role has caught up. A naive
Faust agent counts events of the same topic on the same broker in the same run.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from load_tests.harness import Cluster, arguments, cluster, journal_totals, machine, write
from load_tests.shop.load import shop
from streamer.publish import publish

#: Of the events the policy would rank, the share that is; with the learning sample this makes one event in ten.
RANK_RATE = 0.14
LEARN_RATE = 0.05


def measure(made: Cluster, events: int, seed: int) -> dict[str, Any]:
    """Publish, start, wait until all have caught up, and read the figures from what was committed."""
    asyncio.run(publish(list(shop(events, seed=seed)), made.client, prefix=made.settings.topics.prefix, rate=0))
    made.start()
    begun, begun_ms = made.cpu_seconds(), time.time() * 1000
    while not made.caught_up() or _folded(made) < events:
        made.supervisor.tend()
        time.sleep(1.0)
    cpu = {name: seconds - begun[name] for name, seconds in made.cpu_seconds().items()}
    samples = made.metrics("user")
    journal, updates, models = (asyncio.run(made.records(name)) for name in ("journal", "item-index", "model"))
    totals, folded_ms = journal_totals(journal)
    seconds = (folded_ms - begun_ms) / 1000
    last_ms = max(record.timestamp for record in [*journal, *updates, *models])
    ranked = samples["streamer_ranked_lists_total"]
    return {
        "events_per_second": round(events / seconds, 1),
        "events_per_second_all_roles": round(events / ((last_ms - begun_ms) / 1000), 1),
        "events": {"published": events, **totals},
        "ranked_share": round(ranked / events, 4),
        "cpu_seconds_per_million_events": {role: round(spent / events * 1e6, 1) for role, spent in cpu.items()},
        "stage_seconds_per_million_events": {
            name.split('"')[1]: round(value / events * 1e6, 1)
            for name, value in samples.items()
            if name.startswith("streamer_stage_seconds_total")
        },
        "profile_row_bytes": profile_rows(made),
        "decision_ms": {"p99_at_most": decision_p99_ms(samples)},
        "transactions": int(samples["streamer_commit_seconds_count"]),
        "micro_batches": int(samples["streamer_batch_seconds_count"]),
        "commit_ms_mean": round(
            1000 * samples["streamer_commit_seconds_sum"] / samples["streamer_commit_seconds_count"], 1
        ),
        "rss_mb": {
            role: round(made.metrics(role)["process_resident_memory_bytes"] / 2**20)
            for role in ("user", "item", "trainer")
        },
    }


def profile_rows(made: Cluster) -> dict[str, Any]:
    """Median and largest size of a user's row in table ``profile``, as last committed."""
    rows = {record.key: len(record.value or b"") for record in asyncio.run(made.records("changelog-user-profile"))}
    return {"median": statistics.median(rows.values()), "max": max(rows.values()), "users": len(rows)}


def _folded(made: Cluster) -> float:
    return sum(v for k, v in made.metrics("user").items() if k.startswith("streamer_events_total"))


def decision_p99_ms(samples: dict[str, float]) -> float:
    """The bucket with the 99th percentile over batches of what retrieval, scoring and deciding took ÷ lists ranked."""
    total = samples["streamer_decision_seconds_count"]
    bounds = sorted(
        (float(name.split('le="')[1].split('"')[0]), count)
        for name, count in samples.items()
        if name.startswith("streamer_decision_seconds_bucket")
    )
    return next(1000 * bound for bound, count in bounds if count >= 0.99 * total)


def naive(bootstrap: str, topic: str, events: int) -> float:
    """Events a second of the naive agent, in a process of its own."""
    script = Path(__file__).with_name("naive_faust.py")
    done = subprocess.run(
        [sys.executable, str(script), bootstrap, topic, "--events", str(events)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument(
        "--naive-events", type=int, default=30_000, help="events for the naive Faust agent (0: leave it out)"
    )
    given = parser.parse_args()
    overrides = [
        f"core.policy.rank_rate={RANK_RATE}",
        f"core.learning.learn_rate={LEARN_RATE}",
        *given.set,
    ]
    with cluster(overrides, processes=given.processes) as made:
        figures = measure(made, given.events, given.seed)
        made.supervisor.stop()
        peers = {}
        if given.naive_events:
            peers["naive_faust_rocksdb_exactly_once"] = naive(
                made.settings.kafka.bootstrap, made.topic("browse"), given.naive_events
            )
        figures["peers"] = peers
        figures["times_naive_faust"] = round(figures["events_per_second"] / min(peers.values()), 1) if peers else None
        figures["settings"] = {"overrides": overrides, "processes": given.processes, "seed": given.seed, **machine()}
    write(figures, given.json)


if __name__ == "__main__":
    main()
