"""What one event costs a user task in computing, Kafka left out: the six stops over real tables, on one core.

The events of ``throughput`` are folded by the user role's own work, in micro-batches, with a commit to RocksDB now and
then; an item role and the replicas run beside it uncounted, so that ranking finds what it would. CPU time, not wall
clock: on a shared machine it is the steadier of the two. For a profile of it: ``py-spy record -- python -m
load_tests.compute``.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.roles.item import ItemRole
from agents.worker import make_user_role, tune_gc
from load_tests.harness import arguments, machine, write
from load_tests.shop.load import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE
from state.rocks import open_store
from state.store import TaskIdentity
from streamer.core.partition import partition_of
from streamer.core.record import Record
from streamer.readers.envelope import to_envelope
from streamer.settings import flags, load

if TYPE_CHECKING:
    from agents.roles.user import UserRole
    from streamer.core.settings import CoreSettings
    from streamer.settings import Settings

PARTITIONS = 4


def records(events: int, seed: int, partition: int, *, users: int = 20_000, step_ms: int = 5) -> list[Record]:
    """The records of one task, as a consumer would get them."""
    found: list[Record] = []
    for event in shop(events, users=users, seed=seed, step_ms=step_ms):
        if partition_of(event.user, PARTITIONS) == partition:
            topic, key, value = to_envelope(event, 0)
            headers = (("produced_at", b"%d" % event.time),)
            found.append(Record(topic, partition, len(found), event.time, key, value, headers))
    return found


def opened(role: Any, folder: Path) -> tuple[TaskContext, Any]:
    """The role's work on its task 0."""
    store = open_store(folder / role.name, role.tables, TaskIdentity(role.name, 0, PARTITIONS))
    metrics = Metrics(role=role.name)
    context = TaskContext(0, PARTITIONS, store, Outbox(), TaskRow({}), lambda name: name, metrics, None)
    return context, role.open(context)


def staged(context: TaskContext, work: Any) -> Outbox:
    """What a commit would send."""
    work.before_commit()
    for table, key, value in context.store.take_changes():
        context.outbox.add(table, 0, key, value)
    return context.outbox.take()


class Indexing:
    """The item role and the replica of its rows, fed from the user role's commits."""

    def __init__(self, user: UserRole, core: CoreSettings, folder: Path) -> None:
        self._user = user
        self._context, self._work = opened(ItemRole(core, commit_interval_s=1.0), folder)

    def see(self, sent: Outbox) -> None:
        """Fold what a commit told of items, and have the user role know it."""
        for (topic, _), rows in sent:
            if topic == "item-updates":
                self._work.process([Record(topic, 0, 0, 0, key, value) for key, value, *_ in rows])
        published = staged(self._context, self._work)
        self._context.store.committed({})
        for (topic, _), rows in published:
            for key, value, *_ in rows if topic == "item-index" else ():
                self._user.known.appliers[topic](key, value)


def run(events: list[Record], batch: int, commit_every: int, settings: Settings, folder: Path) -> dict[str, Any]:
    """Fold all events; CPU microseconds an event of the folding, and of what a commit asks of this thread."""
    user = make_user_role(settings, Metrics(role="user"), lambda _what, _exc: None)
    context, work = opened(user, folder)
    indexing = Indexing(user, settings.core, folder)
    spent = {"fold": 0.0, "stage": 0.0, "write": 0.0}
    rows = 0
    for start in range(0, len(events), commit_every):
        begun = time.process_time()
        for first in range(start, min(start + commit_every, len(events)), batch):
            work.process(events[first : first + batch])
        folded = time.process_time()
        out = staged(context, work)
        ready = time.process_time()
        context.store.committed({})
        written = time.process_time()
        for name, seconds in (("fold", folded - begun), ("stage", ready - folded), ("write", written - ready)):
            spent[name] += seconds
        rows += len(out)
        indexing.see(out)
    scale = 1e6 / len(events)
    told = context.metrics.registry.get_sample_value
    return {
        "cpu_us_per_event": {name: round(seconds * scale, 2) for name, seconds in spent.items()}
        | {"total": round(sum(spent.values()) * scale, 2)},
        "stage_us_per_event": {
            stage: round((told("streamer_stage_seconds_total", {"role": "user", "stage": stage}) or 0.0) * scale, 2)
            for stage in ("parse", "fold", "retrieve", "score", "decide")
        },
        "events": len(events),
        "ranked_share": round((told("streamer_ranked_lists_total", {"role": "user"}) or 0.0) / len(events), 4),
        "rows_out_per_event": round(rows / len(events), 3),
    }


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--events", type=int, default=100_000, help="of the shop; one task folds a quarter of them")
    parser.add_argument("--users", type=int, default=20_000, help="few, and far between: shoppers with many visits")
    parser.add_argument("--step-ms", type=int, default=5, help="between two events, in event time")
    parser.add_argument("--batch", type=int, default=400)
    parser.add_argument("--commit-every", type=int, default=4_000)
    given = parser.parse_args()
    overrides = [f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}", *given.set]
    settings = load(None, {}, {"topics.item_partitions": 1} | flags(overrides))
    events = records(given.events, given.seed, 0, users=given.users, step_ms=given.step_ms)
    tune_gc()
    with tempfile.TemporaryDirectory(prefix="streamer-compute-") as folder:
        figures = run(events, given.batch, given.commit_every, settings, Path(folder))
    write(figures | {"settings": {"overrides": overrides, **machine()}}, given.json)


if __name__ == "__main__":
    main()
