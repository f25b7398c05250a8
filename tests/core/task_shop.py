"""A small shop's task for tests of the engine: tables as bytes, replicas fed by real deltas, records as from Kafka."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from streamer.core.campaigns.watching import Watch
from streamer.core.effects import Effects
from streamer.core.engine import Engine
from streamer.core.index import ItemIndex
from streamer.core.items.deltas import ItemDeltas
from streamer.core.items.fold import apply_block
from streamer.core.items.rows import index_row
from streamer.core.models.model import ServedModel
from streamer.core.policy.state import PolicyState
from streamer.core.predictions.pending import Slot
from streamer.core.profile import Profile
from streamer.core.record import Record
from streamer.core.record import tick as ticked
from streamer.core.timers import read_due_key
from streamer.core.uplift.model import ServedUplift
from streamer.core.uplift.slates import Slates
from streamer.core.views import Views

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.campaigns.budget import Spent
    from streamer.core.items.state import ItemState
    from streamer.core.settings import CoreSettings

V = TypeVar("V")
T0 = 1_700_000_000_000
TOPICS = {"search": "search", "cart": "purchase", "purchase": "purchase", "preferences": "preferences"}


class Table(Generic[V]):
    """A table of bytes, so that every read gives fresh objects, as the real ones do."""

    def __init__(self, row_type: type[V]) -> None:
        self.rows: dict[str, bytes] = {}
        self._decode = msgspec.msgpack.Decoder(row_type).decode

    def get_many(self, keys: Sequence[str]) -> list[V | None]:
        return [self._decode(self.rows[key]) if key in self.rows else None for key in keys]

    def put_all(self, rows: dict[str, V | None]) -> None:
        for key, row in rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = msgspec.msgpack.encode(row)


class Watching(Table[Watch]):
    """Table ``watch``: who watches what, and up to where they were told of changes."""

    def __init__(self) -> None:
        super().__init__(Watch)
        self.swept = 0, ""

    @property
    def count(self) -> int:
        return len(self.rows)

    def between(self, spans: Sequence[tuple[str, str]], limit: int) -> list[tuple[int, str, Watch]]:
        found = []
        for place, (start, end) in enumerate(spans):
            keys = sorted(key for key in self.rows if start <= key < end)
            found += [(place, key, row) for key, row in zip(keys, self.get_many(keys), strict=True) if row]
        return found[:limit]


class Due:
    """Table ``due``: who is to be looked at next."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    def first(self, until_ms: int, limit: int) -> list[str]:
        return [key for key in sorted(self.keys) if read_due_key(key)[0] <= until_ms][:limit]

    def put_all(self, rows: dict[str, bytes | None]) -> None:
        for key, row in rows.items():
            (self.keys.discard if row is None else self.keys.add)(key)


class ItemRows:
    """The item role's table, by reference: the test's only process is both roles."""

    def __init__(self) -> None:
        self.states: dict[str, ItemState] = {}

    def get_many(self, keys: Sequence[str]) -> list[ItemState | None]:
        return [self.states.get(key) for key in keys]


def record(user: str, kind: str, time: int = T0, **data: Any) -> Record:
    """An envelope of ours. ``id``, ``topic``, ``key``, ``partition``, ``offset``, ``timestamp`` may be overridden."""
    topic = data.pop("topic", TOPICS.get(kind, "feedback" if kind.startswith("push_") else "browse"))
    key = data.pop("key", user.encode())
    partition, offset = data.pop("partition", 0), data.pop("offset", time - T0)
    timestamp = data.pop("timestamp", time)
    body = {
        "specversion": "1.0",
        "id": data.pop("id", f"{kind}-{time}"),
        "source": "shop",
        "type": kind,
        "subject": user,
        "time": time,
        "data": data,
    }
    return Record(topic, partition, max(0, offset), timestamp, key, json.dumps(body).encode())


def tick(time: int, changes: int = 0) -> Record:
    """What a task adds to its journal when a timer is due, or the catalog has changed."""
    return ticked(0, time, changes)


class Shop:
    """One task with its tables and replicas. ``run`` applies effects as the shell would and keeps all that was sent."""

    def __init__(self, settings: CoreSettings, index: ItemIndex | None = None, **where: int) -> None:
        self.settings = settings
        self.engine = Engine(settings)
        self.index = ItemIndex(keep_changes=True) if index is None else index
        self.model = ServedModel()
        self.profiles, self.seen, self.policy = Table(Profile), Table(bytes), Table(PolicyState)
        self.pending, self.due = Table(Slot), Due()
        self.slates, self.uplift = Table(Slates), ServedUplift()
        self.spent: dict[str, Spent] = {}
        self.watch = Watching()
        self.views = Views(
            self.profiles,
            self.seen,
            self.policy,
            self.index,
            self.model,
            self.pending,
            due=self.due,
            slates=self.slates,
            uplift=self.uplift,
            spent=self.spent,
            watch=self.watch,
            challengers=self.model.challengers,
        )
        self.deltas = ItemDeltas()
        self.total = Effects(0)
        self._where = {"partition": 0, "partitions": 1} | where

    def step(self, records: Sequence[Record]) -> Effects:
        effects = self.engine.step(records, self.views, now=self.total.now, **self._where)
        self.profiles.put_all(effects.profiles)
        self.seen.put_all(effects.seen)
        self.policy.put_all(effects.policy)
        self.pending.put_all(effects.pending)
        self.due.put_all(effects.due)
        self.slates.put_all(effects.slates)
        self.spent.update(effects.spent)
        self.watch.put_all(effects.watch)
        if effects.watching is not None:
            count, offset, after = effects.watching
            assert count == len(self.watch.rows)
            self.watch.swept = offset, after
        total = self.total
        total.now = effects.now
        total.counts += effects.counts
        total.ranked += effects.ranked
        total.slates_counts += effects.slates_counts
        for name in ("candidates", "decisions", "examples", "outcomes", "responses", "rekeyed", "dead_letters"):
            getattr(total, name).extend(getattr(effects, name))
        for touch in effects.touches:
            self.deltas.add(touch.event, touch.before, self.settings.items, touch.leads)
        return effects

    def run(self, records: Sequence[Record], cuts: Iterable[int] = ()) -> Shop:
        """Step through the records, cut before each place in ``cuts``."""
        edges = [0, *sorted(cuts), len(records)]
        for start, end in pairwise(edges):
            if end > start:
                self.step(records[start:end])
        return self

    def publish(self) -> None:
        """Bring the item index up to date with all deltas, through their bytes."""
        rows = ItemRows()
        for block in self.deltas.blocks(1).values():
            for key, state in apply_block(block, rows, self.settings.items).items():
                self.index.apply_row(key, index_row(state, self.settings.items))
        self.deltas = ItemDeltas()

    def catalog(self, item: str, **said: Any) -> int:
        """A record of topic ``catalog``: its offset."""
        changes = self.index.changes
        assert self.index.apply_catalog(item, json.dumps(said).encode() if said else None)
        changes.position += 1
        return changes.position - 1

    def reasons(self) -> list[str]:
        return [decision.reason for decision in self.total.decisions]

    def result(self) -> bytes:
        """All that must not depend on the cut, as bytes."""
        total = self.total
        return msgspec.msgpack.encode(
            [
                sorted(self.profiles.rows.items()),
                sorted(self.seen.rows.items()),
                sorted(self.policy.rows.items()),
                total.candidates,
                total.decisions,
                total.examples,
                sorted(self.pending.rows.items()),
                sorted(self.due.keys),
                total.outcomes,
                sorted(self.slates.rows.items()),
                sorted(self.watch.rows.items()),
                self.watch.swept,
                total.responses,
                sorted(self.spent.items()),
                sorted(total.slates_counts.items()),
                total.rekeyed,
                total.dead_letters,
                sorted(total.counts.items()),
                total.now,
                sorted(self.deltas.blocks(3).items()),
            ]
        )


def browsing(count: int, users: int, items: int = 60, seed: int = 7, step_ms: int = 20_000) -> list[Record]:
    """A seeded stream: skewed items in six categories and five brands; searches, carts and purchases among views."""
    rng = random.Random(seed)
    records = []
    for n in range(count):
        time, user = T0 + n * step_ms, f"user-{rng.randrange(users)}"
        item = min(items - 1, int(rng.paretovariate(0.8)) - 1)
        kind = rng.choices(["view", "search", "cart", "purchase"], [78, 8, 9, 5])[0]
        if kind == "search":
            records.append(record(user, kind, time, id=str(n), query=f"thing {item % 6}", offset=n))
            continue
        words = {"category": f"category-{item % 6}", "brand": f"brand-{item % 5}", "title": f"Thing {item}"}
        records.append(record(user, kind, time, id=str(n), item=f"item-{item}", price=5.0 + item, offset=n, **words))
    return records
