"""The yardstick: the plainest exactly-once Faust agent with a RocksDB table, one counter an event."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time

import faust


def run(bootstrap: str, topic: str, events: int, timeout_s: float) -> float:
    """Count ``events`` events of ``topic`` by user, as Faust's tutorial would. Returns events a second."""
    with tempfile.TemporaryDirectory(prefix="naive-faust-") as data:
        app = faust.App(
            "naive-counter",
            broker=f"kafka://{bootstrap}",
            store="rocksdb://",
            datadir=data,
            processing_guarantee="exactly_once",
            topic_partitions=4,
            topic_disable_leader=True,
            web_enabled=False,
        )
        source = app.topic(topic, key_type=bytes, value_type=bytes, value_serializer="raw")
        counts = app.Table("counts", default=int, key_type=str, value_type=int, partitions=4)
        seen: list[float] = []
        enough = asyncio.Event()

        @app.agent(source)
        async def count(stream: faust.StreamT[bytes]) -> None:
            async for event in stream.events():
                counts[event.key.decode()] += 1
                seen.append(time.monotonic())
                if len(seen) == events:
                    enough.set()

        # Not asyncio.run(), which would wait for all that Faust leaves running.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(_until(app, seen, enough, timeout_s))


async def _until(app: faust.App, seen: list[float], enough: asyncio.Event, timeout_s: float) -> float:
    app.in_worker = True
    await app.start()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(enough.wait(), timeout_s)
    if len(seen) < 2:
        raise TimeoutError("the naive agent processed nothing")
    return (len(seen) - 1) / (seen[-1] - seen[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("topic")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--timeout-s", type=float, default=90)
    given = parser.parse_args()
    sys.stdout.write(f"{run(given.bootstrap, given.topic, given.events, given.timeout_s):.1f}\n")
    sys.stdout.flush()
    # Some tasks of Faust's do not end when cancelled, now and then; what there was to measure is measured.
    os._exit(0)
