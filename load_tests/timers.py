"""A million timers pending: how fast they are armed and fire, what a start takes, and what events cost beside them.

As many shoppers put an item on a wish list, on which a campaign waits. Then latency is measured as ``latency`` does it,
by shoppers who arm none; the workers are killed and started again; and the stream time is moved past all timers at
once, by one event a partition. All but the firing is done twice: with the campaign, and without it, so that the same
shoppers are known and no timer is armed.

With ``--backlog N`` as many events are put on Kafka while the workers are down, and how fast they are taken is told, as
``throughput`` does it; ``--campaigns all,cart-coupon`` has every shipped campaign on beside the wish list's. Two of
those wait on a wish list as well, so each shopper is then three timers, and two of them are left without the campaign:
what all campaigns cost with nothing pending, ``latency --set campaigns.on=all,cart-coupon`` tells.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from load_tests.harness import Cluster, arguments, cluster, machine, write
from load_tests.latency import measure as latency
from load_tests.throughput import LEARN_RATE, RANK_RATE
from load_tests.throughput import measure as throughput
from streamer.core.events import Event, Line, item_key, key64
from streamer.core.partition import partition_of
from streamer.demo import is_ready
from streamer.publish import publish
from streamer.readers.envelope import to_envelope

AFTER_MIN = 40
AHEAD_MIN = 55
"""How far the last events are ahead, with their Kafka timestamps: a broker takes an hour."""

CAMPAIGN = f"""
says = "what was put on the wish list"
[triggers]
on = ["wishlist"]
after = "{AFTER_MIN}m"
[message]
template = "wish.v1"
"""
ITEMS = 5_000
CHUNK = 50_000
REST_S = 5.0
REST_CORES = 0.3
MOST_REST_S = 300.0


def wish(number: int, user: str, time_ms: int) -> Event:
    """An item on a wish list."""
    name, identity = f"item-{number % ITEMS}", f"wish-{user}-{number}"
    return Event(user, identity, "shop", "wishlist", time_ms, key64(identity), (Line(name, item_key(name), price=9.0),))


def name_of(number: int) -> str:
    """The shopper of a timer."""
    return f"waiter-{number}"


def samples(made: Cluster) -> dict[str, float]:
    """Of the user role, samples of all partitions summed up."""
    summed: dict[str, float] = {}
    for name, value in made.metrics("user").items():
        key = name.partition("{")[0]
        summed[key] = summed.get(key, 0.0) + value
    return summed


async def arm(made: Cluster, timers: int) -> dict[str, Any]:
    """Put so many on Kafka, then start the workers, and wait until all of it is folded."""
    for first in range(0, timers, CHUNK):
        numbers = range(first, min(first + CHUNK, timers))
        events = [wish(number, name_of(number), 1_700_000_000_000 + number) for number in numbers]
        await publish(events, made.client, prefix=made.settings.topics.prefix, rate=0)
    await asyncio.to_thread(made.start)
    started = time.monotonic()
    while samples(made)["streamer_records_total"] < timers:
        made.supervisor.tend()
        await asyncio.sleep(0.5)
    seconds = time.monotonic() - started
    await made.drained()
    return {
        "events_per_second": round(timers / seconds),
        "pending": round(samples(made)["streamer_timers_pending"]),
        "rss_mb": round(samples(made)["process_resident_memory_bytes"] / 2**20),
        "rocksdb_mb": round(samples(made)["streamer_rocksdb_bytes"] / 2**20),
    }


async def rested(made: Cluster) -> dict[str, float]:
    """Wait until what arming left behind is done, which is no part of what pending timers cost.

    What a million at once wrote is for a while on its way to the disk, and is compacted. Told are how long that took,
    and the share of a core that is used at rest.
    """
    started = time.monotonic()
    await asyncio.to_thread(os.sync)
    spent = sum(made.cpu_seconds().values())
    while True:
        await asyncio.sleep(REST_S)
        now = sum(made.cpu_seconds().values())
        share, spent = (now - spent) / REST_S, now
        seconds = time.monotonic() - started
        if share < REST_CORES or seconds > MOST_REST_S:
            return {"seconds": round(seconds, 1), "cores": round(share, 2)}


def restart(made: Cluster) -> dict[str, Any]:
    """Kill the user workers and start them again; seconds until they are ready."""
    places = [place for place, child in enumerate(made.supervisor.children) if child.role == "user"]
    for place in places:
        process = made.supervisor.children[place].process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
    started = time.monotonic()
    for place in places:
        made.supervisor.spawn(place)
    while not all(is_ready(made.settings.web.port + place) for place in places):
        time.sleep(0.02)
    seconds = round(time.monotonic() - started, 2)
    return {"seconds_to_ready": seconds, "rss_mb": round(samples(made)["process_resident_memory_bytes"] / 2**20)}


async def fire(made: Cluster, timers: int) -> dict[str, Any]:
    """Move the stream time of every partition past all timers, and wait until each has fired."""
    partitions, now_ms = made.settings.topics.partitions, int(time.time() * 1000)
    ahead_ms = now_ms + AHEAD_MIN * 60_000
    users: dict[int, str] = {}
    for number in range(1_000):
        users.setdefault(partition_of(f"last-{number}", partitions), f"last-{number}")
    before = samples(made)
    async with AIOKafkaProducer(**made.client) as producer:
        for user in users.values():
            topic, key, value = to_envelope(wish(0, user, ahead_ms), 0)
            await producer.send_and_wait(made.topic(topic), value, key, timestamp_ms=ahead_ms)
    started = time.monotonic()
    while (done := samples(made))["streamer_timers_fired_total"] - before["streamer_timers_fired_total"] < timers:
        made.supervisor.tend()
        await asyncio.sleep(0.5)
    seconds = time.monotonic() - started
    busy = done["streamer_batch_seconds_sum"] - before["streamer_batch_seconds_sum"]
    return {
        "timers_per_second": round(timers / seconds),
        "seconds": round(seconds, 1),
        "compute_us_a_timer": round(busy / timers * 1e6, 1),
        "ranked_share": round(
            (done["streamer_ranked_lists_total"] - before["streamer_ranked_lists_total"]) / timers, 3
        ),
        "rss_mb": round(done["process_resident_memory_bytes"] / 2**20),
    }


def measure(given: argparse.Namespace, overrides: list[str], folder: str | None) -> dict[str, Any]:
    """One cluster, with the campaign, which is in ``folder``, or without."""
    on = [f"campaigns.on={given.campaigns}"]
    if folder is not None:  # "all" would take it from there, too
        on = [f"campaigns.folder={folder}", f"{on[0]},wish"]
    with cluster([*overrides, *on], processes=given.processes) as made:
        figures = {"arming": asyncio.run(arm(made, given.timers))}
        figures["rest"] = asyncio.run(rested(made))
        figures["beside"] = asyncio.run(latency(made, given.rate, given.seconds, given.warm, given.seed))
        figures["restart"] = restart(made)
        if given.backlog:
            made.supervisor.stop()
            figures["backlog"] = throughput(made, given.backlog, given.seed + 1)
        if folder is not None and given.fire:
            figures["firing"] = asyncio.run(fire(made, given.timers))
    return figures


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--timers", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=2_000, help="events a second beside the timers")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm", type=int, default=30_000, help="events before the measurement")
    parser.add_argument("--campaigns", default="next", help="those that are on beside the timers' own")
    parser.add_argument("--backlog", type=int, default=0, help="events of a backlog, to measure throughput (0: none)")
    parser.add_argument(
        "--fire", action=argparse.BooleanOptionalAction, default=True, help="let the timers go off in the end"
    )
    parser.add_argument(
        "--none", action=argparse.BooleanOptionalAction, default=True, help="measure without timers as well"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="streamer-campaigns-") as folder:
        (Path(folder) / "wish.toml").write_text(CAMPAIGN)
        overrides = [
            f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}",
            "runtime.idle_tick_ms=0", *given.set,
        ]  # fmt: skip
        figures: dict[str, Any] = {"pending": measure(given, overrides, folder)}
        if given.none:
            figures["none"] = measure(given, overrides, None)
    figures["settings"] = {
        "timers": given.timers,
        "campaigns": given.campaigns,
        "overrides": overrides,
        "seed": given.seed,
        "rate": given.rate,
        "seconds": given.seconds,
        **machine(),
    }
    write(figures, given.json)


if __name__ == "__main__":
    main()
