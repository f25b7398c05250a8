"""Rebuilding the tables of several tasks, in one process and at once, from changelogs on a real Kafka.

The changelogs are filled by the tasks' own transactional producers. Then each task gets an empty directory and the
worker's own ``restore``; what it holds afterwards is compared with a plain fold of what was committed. Then the last
round's directories are opened again after a tail of new rows, as a restart with a checkpoint does.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.outbox import Outbox
from agents.recovery import restore
from agents.topic_admin import create_topics
from agents.topics import BY_NAME, TopicSettings
from agents.transaction import ExactlyOnce
from load_tests.harness import arguments, machine, process_cpu_seconds, write
from state.codecs import RawCodec
from state.rocks import RocksMemory, open_store
from state.settings import StateSettings
from state.store import TaskIdentity, digest_rows
from state.table import TableSpec
from streamer.broker import EmbeddedBroker

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

TABLE = "profile"
TABLES = (TableSpec(TABLE, RawCodec()), TableSpec("tasks", RawCodec()))

#: Rows of one transaction: what a task with a backlog folds in an interval, about.
COMMIT_ROWS = 5_000

#: Of a row's bytes, the share that does not compress.
RANDOM_SHARE = 0.5

#: Share of a core below which Kafka counts as idle: it has compacted what it was given.
IDLE = 0.05


@dataclass
class Log:
    """One task's changelogs: how to fill them, and what they come to."""

    partition: int
    topics: Mapping[str, str]
    rng: random.Random
    folded: dict[tuple[str, bytes], bytes] = field(default_factory=dict)

    async def fill(self, client: Mapping[str, Any], rows: int, row_bytes: int, keys: int) -> None:
        """Commit ``rows`` rows of ``keys`` keys drawn at random, transaction by transaction."""
        committer = ExactlyOnce(
            client, transactional_id=f"load-{self.partition}", group=f"load-{self.partition}", timeout_ms=10_000
        )
        await committer.start()
        noise = self.rng.randbytes(1 << 16)
        size = int(row_bytes * RANDOM_SHARE)
        for start in range(0, rows, COMMIT_ROWS):
            changes: dict[tuple[str, bytes], bytes] = {}
            for _ in range(min(COMMIT_ROWS, rows - start)):
                key = b"user-%08d-%02d" % (self.rng.randrange(keys), self.partition)
                at = self.rng.randrange(len(noise) - size)
                changes[TABLE, key] = noise[at : at + size] + bytes(row_bytes - size)
            changes["tasks", b"%d" % self.partition] = b"%d" % start
            outbox = Outbox()
            for (table, key), row in changes.items():
                outbox.add(self.topics[table], self.partition, key, row)
            await committer.commit(outbox, {})
            self.folded |= changes
        await committer.close()

    def digest(self) -> str:
        """That of the compacted changelogs."""
        return digest_rows((*at, row) for at, row in sorted(self.folded.items()))


async def recover(logs: list[Log], folder: Path, client: Mapping[str, Any], settings: StateSettings) -> dict[str, Any]:
    """Open all stores and restore them, at once. Raises AssertionError if one does not hold what was committed."""
    memory = RocksMemory(settings)
    longest_hold = 0.0

    async def heartbeat() -> None:
        nonlocal longest_hold
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            longest_hold = max(longest_hold, time.perf_counter() - before)

    watching = asyncio.get_running_loop().create_task(heartbeat())
    cpu, started = time.process_time(), time.perf_counter()
    stores = [
        open_store(
            folder / str(log.partition), TABLES, TaskIdentity("user", log.partition, len(logs)), settings, memory
        )
        for log in logs
    ]
    opened = time.perf_counter()
    rows = sum(
        await asyncio.gather(
            *(restore(store, log.topics, log.partition, client) for store, log in zip(stores, logs, strict=True))
        )
    )
    seconds = time.perf_counter() - started
    watching.cancel()
    cpu = time.process_time() - cpu
    for store, log in zip(stores, logs, strict=True):
        assert store.digest() == log.digest(), f"task {log.partition} does not hold what was committed"
        store.close()
    return {
        "rows": rows,
        "seconds": round(seconds, 3),
        "rows_per_second": round(rows / seconds),
        "seconds_to_open": round(opened - started, 3),
        "cpu_us_per_row": round(cpu / rows * 1e6, 2),
        "loop_held_ms_max": round(longest_hold * 1000),
    }


async def idle(broker: EmbeddedBroker) -> None:
    """Wait until Kafka is through with compaction, which would be measured as well."""
    used = -1.0
    while used < 0 or process_cpu_seconds(broker.pid) - used > IDLE:
        used = process_cpu_seconds(broker.pid)
        await asyncio.sleep(1.0)


async def measure(broker: EmbeddedBroker, folder: Path, *, row_bytes: int, given: argparse.Namespace) -> dict[str, Any]:
    """Fill, recover from nothing some times, add a tail, recover from the checkpoint."""
    client, tasks, keys = {"bootstrap_servers": broker.bootstrap}, given.tasks, 10 * given.rows // given.tasks
    settings = TopicSettings(prefix=f"recovery-{row_bytes}.", partitions=tasks)
    names = {spec.name: f"changelog-user-{spec.name}" for spec in TABLES}
    await create_topics(client, settings, topics=[BY_NAME[name] for name in names.values()])
    topics = {table: settings.physical(name) for table, name in names.items()}
    logs = [Log(number, topics, random.Random(f"{given.seed}-{number}")) for number in range(tasks)]
    await asyncio.gather(*(log.fill(client, given.rows // tasks, row_bytes, keys) for log in logs))
    rounds = []
    for number in range(given.rounds):
        await idle(broker)
        made = await recover(logs, folder / str(number), client, StateSettings())
        rounds.append(made | {"mb_per_second": round(made["rows_per_second"] * row_bytes / 1e6, 1)})
    await asyncio.gather(*(log.fill(client, given.tail // tasks, row_bytes, keys) for log in logs))
    return {
        "from_nothing": sorted(rounds, key=lambda made: made["seconds"]),
        "from_checkpoint": await recover(logs, folder / str(given.rounds - 1), client, StateSettings()),
    }


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--tasks", type=int, default=4, help="tasks recovered at once")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows in the changelogs, over all tasks")
    parser.add_argument("--bytes", type=int, default=[300, 1024], nargs="+", help="sizes of a row, measured in turn")
    parser.add_argument("--tail", type=int, default=10_000, help="rows written after the checkpoint, over all tasks")
    parser.add_argument("--rounds", type=int, default=3, help="recoveries from nothing for each size")
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="streamer-recovery-") as scratch, EmbeddedBroker(heap="1g") as broker:
        for size in given.bytes:
            figures[f"rows_of_{size}_bytes"] = asyncio.run(
                measure(broker, Path(scratch) / str(size), row_bytes=size, given=given)
            )
    figures["settings"] = {
        "tasks": given.tasks,
        "rows": given.rows,
        "tail": given.tail,
        "seed": given.seed,
        **machine(),
    }
    write(figures, given.json)


if __name__ == "__main__":
    main()
