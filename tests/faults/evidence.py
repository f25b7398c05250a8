"""What a run left behind, as the checker reads it: committed records by topic, tables by directory, group offsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rocksdict import AccessType, Options, Rdict, ReadOptions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.plain import Rec

Rows = dict[bytes, bytes]


@dataclass
class Store:
    """A task's directory: its tables' rows, and up to which offset of each changelog (physical name) it says it is.

    ``damage``: what its checksums say of a block that a test damaged and nobody has read since; rows are missing then.
    """

    name: str
    role: str
    partition: int
    tables: dict[str, Rows]
    positions: dict[str, int]
    damage: str = ""


@dataclass
class Shadow:
    """What a replay of the run made: tables and candidates (key, value) by partition; and what commands failed at."""

    tables: dict[int, dict[str, Rows]] = field(default_factory=dict)
    candidates: dict[int, list[tuple[bytes | None, bytes | None]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass
class Evidence:
    """Topics by logical name and partition, in offset order, ``read_committed``; stores; the groups' offsets.

    ``rss``: the most bytes that each worker held. ``shadow``: the run replayed, None where that could not be.

    ``aborted`` counts records that a ``read_uncommitted`` reader of candidates and decisions sees besides.
    """

    prefix: str
    partitions: int
    item_partitions: int
    topics: dict[str, dict[int, list[Rec]]]
    stores: list[Store] = field(default_factory=list)
    offsets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    aborted: int = 0
    rss: dict[str, int] = field(default_factory=dict)
    shadow: Shadow | None = None

    def records(self, topic: str, partition: int) -> list[Rec]:
        """Of one partition."""
        return self.topics.get(topic, {}).get(partition, [])

    def all(self, topic: str) -> list[Rec]:
        """Of a topic, partition by partition."""
        return [rec for _, records in sorted(self.topics.get(topic, {}).items()) for rec in records]

    def last_rows(self, topic: str, partition: int, below: int | None = None) -> Rows:
        """A partition as compaction would leave it, of the records before offset ``below``, without tombstones."""
        rows: Rows = {}
        for rec in self.records(topic, partition):
            if below is not None and rec.offset >= below:
                break
            if rec.value is None:
                rows.pop(rec.key or b"", None)
            else:
                rows[rec.key or b""] = rec.value
        return rows

    def table(self, role: str, partition: int, table: str) -> Rows:
        """The rows of a task's table: of its newest directory, or of the changelog if that one is damaged."""
        store = self.newest(role, partition)
        if store is None or store.damage:
            return self.last_rows(f"changelog-{role}-{table}", partition)
        return store.tables.get(table, {})

    def newest(self, role: str, partition: int) -> Store | None:
        """The directory of a task that follows its changelogs furthest."""
        found = [s for s in self.stores if (s.role, s.partition) == (role, partition)]
        return max(found, key=lambda s: sum(s.positions.values()), default=None)


def read_store(path: Path, name: str, role: str, partition: int) -> Store:
    """Read a directory that nobody has open, as far as it can be read."""
    store = Store(name, role, partition, {}, {})
    db = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    try:
        rows = db.iter(ReadOptions())
        rows.seek_to_first()
        while rows.valid():
            head, _, rest = rows.key().partition(b"\0")
            if head:
                store.tables.setdefault(head.decode(), {})[rest] = rows.value()
            elif rest.startswith(b"position\0"):
                store.positions[rest.removeprefix(b"position\0").decode()] = int(rows.value())
            rows.next()
        try:
            rows.status()
        except Exception as error:  # noqa: BLE001 - rocksdict raises nothing narrower
            store.damage = str(error)
    finally:
        db.close()
    return store
