"""A task's state: its tables, and the commit that makes them durable together with their changelog positions.

The rules:

- ``put`` and ``delete`` change an overlay in memory. Only ``committed``, ``restore`` and ``wipe`` write the disk.
- ``take_changes`` hands out the rows changed since the last take, for the changelog. They are *in flight*, still
  readable, until ``committed`` (the Kafka transaction is committed: one atomic batch of rows, positions and meta)
  or ``aborted``.
- At most one generation is in flight. Changes made meanwhile belong to the next one; ``aborted`` drops them too,
  since they were derived from rows that never happened.
- So the disk always equals the changelogs, read committed, up to the stored positions. What a power cut loses is
  a suffix of whole commits, which the changelogs' tail brings back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, overload

import msgspec

from state.errors import StateCorrupt, StateError, StateForeign, StateVersionError
from state.hot import HotRows
from state.table import CommittedRows, Table, TableSpec, after_prefix, physical_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

V = TypeVar("V")

#: Of the directory. 2: rows are cut into numbered segments (``state/segments.py``).
FORMAT_VERSION: Final = 2
Change = tuple[str, bytes, bytes | None]

# The store's own rows lie below every table, whose names begin with a letter.
_FORMAT: Final = b"\0format"
_IDENTITY: Final = b"\0identity"
_FRESH: Final = b"\0fresh_ms"
_POSITION: Final = b"\0position\0"
_META: Final = b"\0meta\0"
_END: Final = b"\x7f"


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Whose state it is. A store opens only for the identity that made it."""

    role: str
    partition: int
    partitions: int
    topic_prefix: str = ""


class Backend(CommittedRows, Protocol):
    """Where committed rows live."""

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], *, logged: bool) -> None:
        """Apply all rows (``None`` deletes) or none. ``logged`` rows outlive the process at once; unlogged ones
        only from the next logged write on, and nothing later outlives it without them.
        """

    def replace(self, rows: Sequence[tuple[bytes, bytes]], end: bytes) -> None:
        """Delete everything below ``end`` and write ``rows``, atomically."""

    def busy(self) -> bool:
        """Whether a write would wait for earlier ones to reach the disk. Writing is allowed all the same."""

    def size_bytes(self) -> int:
        """About how much the rows take on disk and in write buffers."""

    def memory_bytes(self) -> dict[str, int]:
        """Memory of this store alone, by what for: ``write_buffers``, and ``indexes`` (filters too) of open files."""

    def close(self) -> None:
        """Release the directory. Twice does no harm."""


class TaskStore:
    """All tables of one task. Made by ``rocks.open_store`` or ``memory.open_store``; not for several threads."""

    def __init__(
        self, backend: Backend, tables: Sequence[TableSpec[Any]], identity: TaskIdentity, hot_rows_bytes: int
    ) -> None:
        self._backend = backend
        self._identity = identity
        self._hot = HotRows(hot_rows_bytes)
        self._tables = {spec.name: Table(spec, backend, self._hot if spec.cached else HotRows(0)) for spec in tables}
        if len(self._tables) != len(tables):
            raise ValueError("two tables have the same name")
        self._in_flight = False
        self._closed = False
        self._check_identity()
        self._positions = {
            key[len(_POSITION) :].decode(): int(value)
            for key, value in backend.scan(_POSITION, after_prefix(_POSITION))
        }

    @overload
    def table(self, which: TableSpec[V]) -> Table[V]: ...
    @overload
    def table(self, which: str) -> Table[Any]: ...
    def table(self, which: TableSpec[V] | str) -> Table[V] | Table[Any]:
        """The table of that name or spec. Raises KeyError for one the store was not opened with."""
        return self._tables[which if isinstance(which, str) else which.name]

    @property
    def dirty(self) -> int:
        """Rows changed since the last take, over all tables."""
        return sum(table.dirty for table in self._tables.values())

    @property
    def written_bytes(self) -> int:
        """Bytes of rows put since the last take, over all tables: at least as many as the rows changed hold."""
        return sum(table.written_bytes for table in self._tables.values())

    @property
    def in_flight(self) -> bool:
        """Whether taken changes await ``committed`` or ``aborted``."""
        return self._in_flight

    def take_changes(self) -> list[Change]:
        """Rows changed since the last take, as (table, key bytes, row or ``None`` for a tombstone).

        Each key once, with its newest row; tables in the order of their specs, keys in the order of their first change.
        Raises StateError while an earlier take is in flight.
        """
        self._must_be_open()
        if self._in_flight:
            raise StateError("changes are already in flight: call committed() or aborted() first")
        self._in_flight = True
        return [change for table in self._tables.values() for change in table.take()]

    def committed(
        self,
        positions: Mapping[str, int],
        *,
        fresh_ms: int | None = None,
        meta: Mapping[str, bytes | None] | None = None,
    ) -> None:
        """The transaction with the taken changes is committed: write rows, positions and meta in one atomic batch.

        ``positions`` names, for each changelog written to, the next offset to read from it. ``fresh_ms`` is the time up
        to which this state is known to follow its changelogs, by the caller's clock. ``meta`` rows are the caller's
        own (``None`` deletes). Without a take before it, positions and meta alone are written. Raises StateError if a
        position would go back or the disk refuses; the changes are in flight still.
        """
        self._must_be_open()
        rows = self._position_rows(positions)
        if fresh_ms is not None:
            rows.append((_FRESH, b"%d" % fresh_ms))
        rows += [(_META + name.encode(), value) for name, value in (meta or {}).items()]
        for table in self._tables.values():
            rows += table.taken.items()
        self._backend.write(rows, logged=True)
        self._positions.update(positions)
        self._in_flight = False
        for table in self._tables.values():
            table.settle()

    def aborted(self) -> None:
        """The transaction is aborted: every change that is not committed is gone, also those made after the take."""
        self._must_be_open()
        self._in_flight = False
        for table in self._tables.values():
            table.drop()

    def positions(self) -> dict[str, int]:
        """The next offset to read of each changelog; none is stored for a store that was never committed to."""
        return dict(self._positions)

    def fresh_ms(self) -> int | None:
        """The newest ``fresh_ms`` written. State older than a changelog's delete retention may lack deletions."""
        row = self._backend.read([_FRESH])[0]
        return None if row is None else int(row)

    def meta(self, name: str) -> bytes | None:
        """The caller's meta row of that name, as last committed."""
        return self._backend.read([_META + name.encode()])[0]

    def restore(
        self, table: str, rows: Iterable[tuple[bytes, bytes | None]], next_offset: int, *, changelog: str | None = None
    ) -> None:
        """Apply a stretch of a table's changelog, (key bytes, row or ``None``), up to ``next_offset``, atomically.

        The position is stored under ``changelog``, or the table's name. Hand over a fetch's worth at a time. Later rows
        of a key win. Rows need not outlive the process until the next ``committed`` or ``close``. Raises StateError
        with uncommitted changes about, and if the position would go back.
        """
        self._must_be_open()
        if self._in_flight or self.dirty:
            raise StateError("restore() with uncommitted changes: call aborted() first")
        position = {changelog or table: next_offset}
        prefix = physical_prefix(self._tables[table].name)
        batch: list[tuple[bytes, bytes | None]] = [(prefix + key, row) for key, row in rows]
        self._hot.clear()
        self._backend.write(batch + self._position_rows(position), logged=False)
        self._positions.update(position)

    def busy(self) -> bool:
        """Whether ``restore`` would wait for the disk, and hold up the whole process meanwhile."""
        return self._backend.busy()

    def wipe(self) -> None:
        """Delete all rows, positions and meta, and every uncommitted change; the identity stays."""
        self._must_be_open()
        self._backend.replace(self._identity_rows(), _END)
        self._in_flight = False
        self._positions.clear()
        self._hot.clear()
        for table in self._tables.values():
            table.drop()

    def committed_rows(self) -> Iterator[tuple[str, bytes, bytes]]:
        """Every committed row as (table, key bytes, row), ascending by table, then key."""
        for name in sorted(self._tables):
            prefix = physical_prefix(name)
            for key, row in self._backend.scan(prefix, after_prefix(prefix)):
                yield name, key[len(prefix) :], row

    def digest(self) -> str:
        """``digest_rows`` of the committed rows: equal to that of the compacted changelogs."""
        return digest_rows(self.committed_rows())

    def size_bytes(self) -> int:
        """About how much the committed rows take on disk and in write buffers."""
        return self._backend.size_bytes()

    def memory_bytes(self) -> dict[str, int]:
        """Memory of this store alone, by what for; the block cache, which stores share, is not in it."""
        return {**self._backend.memory_bytes(), "hot_rows": self._hot.size_bytes}

    def close(self) -> None:
        """Release the directory; uncommitted changes are lost. Twice does no harm."""
        self._closed = True
        self._backend.close()

    def _must_be_open(self) -> None:
        if self._closed:
            raise StateError("the store is closed")

    def _position_rows(self, positions: Mapping[str, int]) -> list[tuple[bytes, bytes | None]]:
        for name, offset in positions.items():
            if offset < self._positions.get(name, 0):
                raise StateError(f"position of {name} would go back from {self._positions.get(name, 0)} to {offset}")
        return [(_POSITION + name.encode(), b"%d" % offset) for name, offset in positions.items()]

    def _identity_rows(self) -> list[tuple[bytes, bytes]]:
        return [(_FORMAT, b"%d" % FORMAT_VERSION), (_IDENTITY, msgspec.json.encode(asdict(self._identity)))]

    def _check_identity(self) -> None:
        version, identity = self._backend.read([_FORMAT, _IDENTITY])
        if version is None and identity is None:
            if next(iter(self._backend.scan(b"", b"\xff" * 8)), None) is not None:
                raise StateCorrupt("the directory holds rows but does not say whose: set it aside and rebuild")
            self._backend.replace(self._identity_rows(), _END)
            return
        if version is None or identity is None or not version.isdigit():
            raise StateCorrupt("the rows that say whose state this is are damaged: set it aside and rebuild")
        if not 1 <= int(version) <= FORMAT_VERSION:
            raise StateVersionError(
                f"the directory has format {int(version)}, this release reads up to {FORMAT_VERSION}: "
                "run the release that wrote it, or set the directory aside to rebuild from the changelogs"
            )
        try:
            found = msgspec.json.decode(identity, type=TaskIdentity)
        except msgspec.DecodeError as error:
            raise StateCorrupt(f"the row that says whose state this is is damaged: {error}") from error
        if found != self._identity:
            raise StateForeign(
                f"the directory holds the state of {found}, not of {self._identity}: set it aside and rebuild"
            )
        for older in range(int(version), FORMAT_VERSION):
            self._backend.write([*_UPGRADES[older](self._backend), (_FORMAT, b"%d" % (older + 1))], logged=True)


def _to_2(_backend: Backend) -> Sequence[tuple[bytes, bytes | None]]:
    """Segments begin with the write that carries this upgrade; what lies below is taken as it is."""
    return ()


#: From each older format, the rows that make the next one of it. Each step is one atomic write, so that a process
#: killed between two steps goes on with the next. Raising ``FORMAT_VERSION`` takes a step, and a golden directory.
_UPGRADES: Final = {1: _to_2}


def digest_rows(rows: Iterable[tuple[str, bytes, bytes]]) -> str:
    """BLAKE2b-128, in hex, over length-prefixed (table, key, row) triples, which the caller sorts by (table, key)."""
    digest = blake2b(digest_size=16)
    for table, key, row in rows:
        for part in (table.encode(), key, row):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()


def set_aside(path: Path) -> Path:
    """Rename a closed store's directory to the first free ``<name>.aside-<n>`` and return that; the caller rebuilds."""
    number = 1
    while (target := path.with_name(f"{path.name}.aside-{number}")).exists():
        number += 1
    return path.rename(target)
