"""What a run left behind, as the checker reads it: committed records by topic, tables by directory, group offsets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rocksdict import AccessType, Options, Rdict

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.plain import Rec

Rows = dict[bytes, bytes]


@dataclass
class Store:
    """A task's directory: its tables' rows, and up to which offset of each changelog (physical name) it says it is."""

    name: str
    role: str
    partition: int
    tables: dict[str, Rows]
    positions: dict[str, int]


@dataclass
class Evidence:
    """Topics by logical name and partition, in offset order, ``read_committed``; stores; the groups' offsets.

    ``aborted`` counts records that a ``read_uncommitted`` reader of candidates and decisions sees besides.
    """

    prefix: str
    partitions: int
    item_partitions: int
    topics: dict[str, dict[int, list[Rec]]]
    stores: list[Store] = field(default_factory=list)
    offsets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    aborted: int = 0

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

    def newest(self, role: str, partition: int) -> Store | None:
        """The directory of a task that follows its changelogs furthest."""
        found = [s for s in self.stores if (s.role, s.partition) == (role, partition)]
        return max(found, key=lambda s: sum(s.positions.values()), default=None)


def read_store(path: Path, name: str, role: str, partition: int) -> Store:
    """Read a directory that nobody has open. Raises what rocksdict raises for one that is damaged."""
    db = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
    tables: dict[str, Rows] = {}
    positions: dict[str, int] = {}
    try:
        for key, value in db.items():
            head, _, rest = key.partition(b"\0")
            if head:
                tables.setdefault(head.decode(), {})[rest] = value
            elif rest.startswith(b"position\0"):
                positions[rest.removeprefix(b"position\0").decode()] = int(value)
    finally:
        db.close()
    return Store(name, role, partition, tables, positions)
