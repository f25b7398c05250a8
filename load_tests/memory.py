"""What a user worker's memory is made of, by minute of event time: one process, two tasks, Kafka left out.

The load is that of the soak, of half its tasks, as fast as it can be folded. What the soak cannot tell apart is told
here: what Python's own allocator holds and uses of it, what glibc's does, and what RocksDB says of its buffers.
Memory that nobody uses is given back before each reading, as a worker does every half minute.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
import time
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from agents import memory
from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.worker import make_user_role, tune_gc
from load_tests.compute import PARTITIONS, Indexing, staged
from load_tests.harness import arguments, machine, write
from load_tests.shop.load import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE
from state.rocks import RocksMemory, open_store
from state.store import TaskIdentity
from streamer.core.partition import partition_of
from streamer.core.record import Record, tick
from streamer.readers.envelope import to_envelope
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.roles.user import UserRole
    from state.settings import StateSettings
    from streamer.core.settings import CoreSettings

MIB: Final = float(1 << 20)
TASKS: Final = (0, 1)
RATE: Final = 5_000
"""Events a second of event time over all tasks, as in the soak."""
STRETCH_MS: Final = 2_000
"""So much of event time is held as records at once, as behind a backlog."""
BATCH: Final = 400


class _Mallinfo2(ctypes.Structure):
    """See mallinfo(3)."""

    _names: Final = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in _names.split()]


def allocators() -> dict[str, float]:
    """MiB that Python's and glibc's allocators hold of the system, and what of it is in use."""
    library = ctypes.CDLL(None)
    library.malloc_trim(0)
    library.mallinfo2.restype = _Mallinfo2
    told = library.mallinfo2()
    python = _of_python()
    resident_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss": resident_pages * os.sysconf("SC_PAGE_SIZE") / MIB,
        "python_held": python["bytes in allocated blocks"] / MIB + python["bytes in available blocks"] / MIB,
        "python_used": python["bytes in allocated blocks"] / MIB,
        "glibc_held": (told.arena + told.hblkhd) / MIB,
        "glibc_mapped": told.hblkhd / MIB,
        "glibc_used": (told.uordblks + told.hblkhd) / MIB,
    }


def _of_python() -> dict[str, int]:
    """What ``sys._debugmallocstats`` writes to standard error, by line."""
    with tempfile.TemporaryFile() as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            sys._debugmallocstats()  # noqa: SLF001 - nothing else tells
            ctypes.CDLL(None).fflush(None)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
        file.seek(0)
        text = file.read().decode()
    found = re.findall(r"^# ([a-z ]+?) += +([\d,]+)$", text, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def stretches(events: int, users: int, items: int, seed: int) -> Iterator[list[list[Record]]]:
    """The records of each task, by stretches of event time."""
    offsets = dict.fromkeys(TASKS, 0)
    # ``shop`` has its events whole milliseconds apart; here five fall into one.
    load = shop(events, users=users, items=items, seed=seed, step_ms=1)
    for _, stretch in groupby(enumerate(load), lambda each: each[0] * 1000 // (RATE * STRETCH_MS)):
        found: dict[int, list[Record]] = {task: [] for task in TASKS}
        for number, event in stretch:
            task = partition_of(event.user, PARTITIONS)
            if task in found:
                at = event.time - number + number * 1000 // RATE
                topic, key, value = to_envelope(msgspec.structs.replace(event, time=at), 0)
                headers = (("produced_at", b"%d" % at),)
                found[task].append(Record(topic, task, offsets[task], at, key, value, headers))
                offsets[task] += 1
        yield list(found.values())


class Worker:
    """Two tasks of the user role in this process, and the item role's work for their index."""

    def __init__(self, user: UserRole, core: CoreSettings, settings: StateSettings, folder: Path) -> None:
        self.contexts, self.works = [], []
        shared = RocksMemory(settings)
        for task in TASKS:
            identity = TaskIdentity("user", task, PARTITIONS)
            store = open_store(folder / str(task), user.tables, identity, settings, shared)
            context = TaskContext(
                task, PARTITIONS, store, Outbox(), TaskRow({}), lambda name: name, Metrics(role="user"), None
            )
            self.contexts.append(context)
            self.works.append(user.open(context))
        self._indexing = Indexing(user, core, folder)

    def fold(self, stretch: list[list[Record]]) -> None:
        """A stretch of each task, with a commit after each micro-batch."""
        for context, work, records in zip(self.contexts, self.works, stretch, strict=True):
            for first in range(0, len(records), BATCH):
                due = work.due_ms <= context.row.now
                batch = records[first : first + BATCH]
                work.process([tick(context.partition, context.row.now), *batch] if due else batch)
                sent = staged(context, work)
                context.store.committed({})
                self._indexing.see(sent)

    def tables(self) -> Counter[str]:
        """MiB of the tables' own buffers, by what for, as they tell them."""
        found: Counter[str] = Counter()
        for context in self.contexts:
            found.update({name: size / MIB for name, size in context.store.memory_bytes().items()})
        return found


def main() -> None:
    """Fold, read, report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--minutes", type=int, default=30, help="of event time")
    parser.add_argument("--users", type=int, default=1_000, help="of all tasks")
    parser.add_argument("--items", type=int, default=1_000)
    given = parser.parse_args()
    memory.settle()
    overrides = [f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}", *given.set]
    settings = load(None, {}, {"topics.item_partitions": 1} | flags(overrides))
    tune_gc()
    readings, started = [], time.process_time()
    with tempfile.TemporaryDirectory(prefix="streamer-memory-") as folder:
        user = make_user_role(settings, Metrics(role="user"), lambda _what, _exc: None)
        worker = Worker(user, settings.core, settings.state, Path(folder))
        load_ = stretches(given.minutes * 60 * RATE, given.users, given.items, given.seed)
        for number, stretch in enumerate(load_, 1):
            worker.fold(stretch)
            if number * STRETCH_MS % 60_000 == 0:
                minute = number * STRETCH_MS // 60_000
                cpu_s = time.process_time() - started
                read = {"minute": minute, "cpu_s": cpu_s} | allocators() | worker.tables()
                readings.append({name: round(value, 1) for name, value in read.items()})
                print(readings[-1], flush=True)
    write({"readings": readings, "settings": {"overrides": overrides, **machine()}}, given.json)


if __name__ == "__main__":
    main()
