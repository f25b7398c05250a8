"""What workers hold when more comes than they can take: overloads in turn, each on a cluster of its own.

- ``tenfold``: every event is ranked, and ten times as many are sent as are processed, or more
- ``frozen``: the broker is stopped by SIGSTOP for a while under load; its connections stay, and nothing answers
- ``one-task``: all events are of shoppers of one partition
- ``one-user``: one shopper does it all, a million times
- ``one-item``: all shoppers look at one item
- ``large``: records of nearly two megabytes
- ``slow-disk``: other programs write to the disk of Kafka and the tables as fast as it takes it

Each begins with a calm load, after which the peak of a process's memory is begun anew. What it holds beyond that is
compared with the bound that its settings give; what became of the records is added up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agents.consumer import FETCH_AHEAD_BYTES, FETCH_BYTES
from agents.roles.user import UserRole
from load_tests.harness import Cluster, arguments, cluster, fixed_loop_s, journal_totals, machine, write
from load_tests.readings import Rates, commits, peak, written_bytes
from load_tests.shop.load import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE
from streamer.core.partition import partition_of
from streamer.publish import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamer.core.events import Event
    from streamer.settings import Settings

WARM: Final = 30_000
#: So long ago was the calm load: before all of the overload, whose last event is as of now.
CALM_AGO_MS: Final = 3 * 3_600_000
FROZEN_S: Final = 8.0
FROZEN_RATE: Final = 2_000.0
LARGE_BYTES: Final = 1_900_000


@dataclass(frozen=True)
class Overload:
    """``events`` of them, made of the seed, sent at ``rate`` a second or at once; ``overrides``: its settings."""

    events: int
    make: Callable[[int, int], Iterator[Event]]
    rate: float = 0.0
    overrides: tuple[str, ...] = ()
    freeze: bool = False
    hog: bool = False


def everybody(events: int, seed: int) -> Iterator[Event]:
    """The shop as it is."""
    return shop(events, seed=seed)


def one_task(events: int, seed: int) -> Iterator[Event]:
    """Of its shoppers those of the first of four partitions."""
    chosen = (event for event in shop(100 * events, seed=seed) if partition_of(event.user, 4) == 0)
    return islice(chosen, events)


def one_user(events: int, seed: int) -> Iterator[Event]:
    """All that is done in the shop is done by one."""
    return (replaced(event, user="user-0") for event in shop(events, seed=seed))


def one_item(events: int, seed: int) -> Iterator[Event]:
    """All that is looked at is one item."""
    line = next(event.lines[0] for event in shop(events, seed=seed) if event.lines)
    return (replaced(event, lines=(line,)) if event.lines else event for event in shop(events, seed=seed))


def large(events: int, seed: int) -> Iterator[Event]:
    """Each event carries a query of nearly two megabytes, which is more than a query may be long."""
    text = "x" * LARGE_BYTES
    return (replaced(event, type="search", query=text, lines=()) for event in shop(events, seed=seed))


def replaced(event: Event, **changes: object) -> Event:
    """A copy with other fields."""
    return msgspec.structs.replace(event, **changes)


OVERLOADS: Final = {
    "tenfold": Overload(60_000, everybody, overrides=("core.policy.rank_rate=1.0", "core.learning.learn_rate=1.0")),
    "frozen": Overload(60_000, everybody, rate=FROZEN_RATE, freeze=True),
    "one-task": Overload(200_000, one_task),
    "one-user": Overload(1_000_000, one_user),
    "one-item": Overload(200_000, one_item),
    "large": Overload(400, large),
    "slow-disk": Overload(200_000, everybody, hog=True),
}


def bound(settings: Settings, tasks: int) -> int:
    """Bytes that a worker's buffers, commits under way and tables may hold, by docs/operations.md, "Memory"."""
    runtime, state = settings.runtime, settings.state
    fetched = tasks * len(UserRole.inputs) * (runtime.buffer_bytes + FETCH_BYTES) + FETCH_AHEAD_BYTES
    folded = tasks * 2 * runtime.commit_bytes
    tables = state.block_cache_bytes + tasks * (
        2 * state.write_buffers * state.write_buffer_bytes + state.hot_rows_bytes
    )
    return fetched + folded + tables


async def measure(made: Cluster, overload: Overload, seed: int, count: int) -> dict[str, Any]:
    """Warm up, overload, and wait until all of it is processed."""
    prefix, ended_ms = made.settings.topics.prefix, int(time.time() * 1000) - CALM_AGO_MS
    calm = [
        replaced(event, id=f"calm-{event.id}", time=ended_ms - WARM + n)
        for n, event in enumerate(shop(WARM, seed=seed + 1))
    ]
    await publish(calm, made.client, prefix=prefix, rate=0, keep_times=True)
    await made.drained()
    before, rates, calm_samples = peak(made, anew=True), Rates(), made.metrics("user")
    watching = asyncio.create_task(rates.watch(made))
    events = list(overload.make(count, seed))
    began, written = time.monotonic(), written_bytes(made)
    sending = asyncio.create_task(publish(events, made.client, prefix=prefix, rate=overload.rate))
    if overload.freeze:
        await asyncio.sleep(FROZEN_S)
        assert made.broker.pid is not None
        os.kill(made.broker.pid, signal.SIGSTOP)
        await asyncio.sleep(FROZEN_S)
        os.kill(made.broker.pid, signal.SIGCONT)
    sent = await sending
    await made.drained()
    took = time.monotonic() - began
    watching.cancel()
    most, samples = peak(made), made.metrics("user")
    totals, _ = journal_totals(await made.records("journal"))
    return {
        "published": sent["published"],
        "sent_per_second": round(sent["events_per_second"]),
        "processed_per_second": round(len(events) / took),
        "slowest_and_median_seconds_processed": rates.slowest(),
        "lag_at_most": rates.lag,
        "written_bytes_an_event": {
            who: round((now - written[who]) / len(events)) for who, now in written_bytes(made).items()
        },
        "commit_ms": commits({name: value - calm_samples.get(name, 0.0) for name, value in samples.items()}),
        "events": totals,
        "left_out": WARM + len(events) - sum(totals.get(name, 0) for name in ("applied", "dead_letter")),
        "restarts": sum(child.restarts for child in made.supervisor.children),
        "rss_mb_before": {name: round(held / 2**20) for name, held in before.items()},
        "rss_mb_more_at_most": {name: round((most[name] - held) / 2**20) for name, held in before.items()},
        "largest_rows_bytes": await largest(made, ("changelog-user-profile", "changelog-user-seen", "item-index")),
    }


@contextlib.contextmanager
def hogged(folder: Path) -> Iterator[None]:
    """Meanwhile files of a quarter of a gigabyte are written to the disk, one after the other."""
    over, chunk = threading.Event(), bytes(1 << 20)

    def write_on() -> None:
        while not over.is_set():
            with (folder / "hog").open("wb", buffering=0) as file:
                for _ in range(256):
                    file.write(chunk)
                os.fsync(file.fileno())

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


async def largest(made: Cluster, topics: tuple[str, ...]) -> dict[str, int]:
    """The size of the largest row of compacted topics."""
    return {name: max((len(r.value or b"") for r in await made.records(name)), default=0) for name in topics}


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--parts", nargs="+", choices=tuple(OVERLOADS), default=tuple(OVERLOADS))
    parser.add_argument("--scale", type=float, default=1.0, help="of so many events as each has")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    for part in given.parts:
        overload = OVERLOADS[part]
        overrides = [f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}"]
        overrides = [*overrides, *overload.overrides, *given.set]
        with cluster(overrides, processes=given.processes) as made:
            made.start()
            count = max(1, round(overload.events * given.scale))
            with hogged(made.broker.data_dir) if overload.hog else contextlib.nullcontext():
                figures[part] = asyncio.run(measure(made, overload, given.seed, count))
            tasks = -(-made.settings.topics.partitions // given.processes)
            figures[part]["bound_mb_of_a_user_worker"] = round(bound(made.settings, tasks) / 2**20)
    figures["settings"] = {"seed": given.seed, "fixed_loop_s": fixed_loop_s(), **machine()}
    write(figures, given.json)


if __name__ == "__main__":
    main()
