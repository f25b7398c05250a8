"""From ``produced_at`` to a ``read_committed`` consumer's receipt of the candidate, open loop, with warm replicas.

Events are sent on a schedule fixed beforehand, and ``produced_at`` is the scheduled time: a system that stalls is
charged for every event that should have been sent meanwhile (no coordinated omission). The policy ranks as many as in
``throughput``; another share is measured with ``--set core.policy.rank_rate=1``.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from load_tests.harness import Cluster, arguments, cluster, machine, write
from load_tests.shop.load import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE, decision_p99_ms
from streamer.observer import Observer, quantiles
from streamer.publish import publish


async def measure(made: Cluster, rate: float, seconds: float, warm: int, seed: int) -> dict[str, Any]:
    """Warm the replicas and the model with ``warm`` events, then send ``seconds`` of load and wait for all of it."""
    events = list(shop(warm + int(rate * seconds), seed=seed))
    prefix = made.settings.topics.prefix
    async with Observer(made.client, made.topic) as seen:
        await publish(events[:warm], made.client, prefix=prefix, rate=0)
        await _drained(made, seen, warm)
        seen.latency_ms.clear()
        seen.ids.clear()
        spent = await asyncio.to_thread(made.cpu_seconds)
        started = time.monotonic()
        await publish(events[warm:], made.client, prefix=prefix, rate=rate)
        sent_in = time.monotonic() - started
        used = {role: seconds - spent[role] for role, seconds in (await asyncio.to_thread(made.cpu_seconds)).items()}
        await _drained(made, seen, len(events))
        samples = made.metrics("user")
        ranked = samples["streamer_ranked_lists_total"]
        return {
            "events_per_second": round((len(events) - warm) / sent_in, 1),
            "cores": {role: round(seconds / sent_in, 2) for role, seconds in used.items()},
            "latency_ms": {**quantiles(seen.latency_ms), "count": len(seen.latency_ms)},
            "ranked_share": round(ranked / len(events), 4),
            "commit_ms_mean": round(
                1000 * samples["streamer_commit_seconds_sum"] / samples["streamer_commit_seconds_count"], 1
            ),
            "candidates": sum(seen.ids.values()),
            "candidates_sent_twice": sum(n - 1 for n in seen.ids.values()),
            "decision_ms": {"p99_at_most": decision_p99_ms(samples)},
            "rss_mb": round(samples["process_resident_memory_bytes"] / 2**20),
            "events": dict(seen.outcomes),
        }


async def _drained(made: Cluster, seen: Observer, events: int) -> None:
    while seen.accounted < events:
        made.supervisor.tend()
        await asyncio.sleep(0.1)


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rate", type=float, default=2_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=int, default=30_000, help="events before the measurement")
    given = parser.parse_args()
    overrides = [f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}", *given.set]
    with cluster(overrides, processes=given.processes) as made:
        made.start()
        figures = asyncio.run(measure(made, given.rate, given.seconds, given.warm, given.seed))
    figures["peers"] = {}
    figures["settings"] = {
        "overrides": overrides,
        "seed": given.seed,
        "rate": given.rate,
        "seconds": given.seconds,
        **machine(),
    }
    write(figures, given.json)


if __name__ == "__main__":
    main()
