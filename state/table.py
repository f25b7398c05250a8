"""Keyed state of a task: a write-behind overlay over committed rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from heapq import merge
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from state.codecs import Codec
    from state.hot import HotRows

V = TypeVar("V")
Key = str | bytes | int
_UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class TableSpec(Generic[V]):
    """A table's name, how its values are coded, and what its keys are.

    Keys are text (stored as UTF-8), bytes, or unsigned 64-bit integers (stored big-endian, so that byte order is their
    order). The name is part of every row on disk and of the changelog's name: it never changes.
    """

    name: str
    codec: Codec[V]
    key: Literal["str", "int", "bytes"] = "str"

    def __post_init__(self) -> None:
        # NUL ends the name inside a physical key, and a leading letter keeps tables apart from the store's own rows.
        if not re.fullmatch("[a-z][a-z0-9_-]*", self.name):
            raise ValueError(f"table name {self.name!r}: use a-z, 0-9, '-' and '_', and begin with a letter")
        if self.key not in ("str", "int", "bytes"):
            raise ValueError(f"table {self.name}: key kind {self.key!r} is none of str, int, bytes")


class CommittedRows(Protocol):
    """The part of a back end that tables read."""

    def read(self, keys: list[bytes]) -> list[bytes | None]:
        """The committed rows under these physical keys, in one call."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Committed rows with start ≤ key < end, ascending by key."""


class Table(Generic[V]):
    """One table of a task store. Made by the store; every read sees every earlier ``put`` and ``delete``.

    Values go through the codec at once, so that what the caller does to an object after ``put``, or to one it got,
    changes nothing.
    """

    def __init__(self, spec: TableSpec[V], rows: CommittedRows, hot: HotRows) -> None:
        self.name = spec.name
        self._kind = spec.key
        self._codec = spec.codec
        self._prefix = physical_prefix(spec.name)
        self._rows = rows
        self._hot = hot
        # Newest first: rows changed since the last take, rows taken but not yet committed.
        self._dirty: dict[bytes, bytes | None] = {}
        self._taken: dict[bytes, bytes | None] = {}

    def get_many(self, keys: Sequence[Key]) -> list[V | None]:
        """The values under ``keys``, each a fresh object, ``None`` where there is none. One read of the disk."""
        decode = self._codec.decode
        return [None if row is None else decode(row) for row in self.get_rows(keys)]

    def get_rows(self, keys: Sequence[Key]) -> list[bytes | None]:
        """The encoded rows under ``keys``."""
        dirty, taken, hot = self._dirty, self._taken, self._hot.get
        rows: list[Any] = []
        absent: list[bytes] = []
        places: list[int] = []
        for place, key in enumerate(self._physical(keys)):
            row: object = dirty.get(key, _UNKNOWN)
            if row is _UNKNOWN:
                row = taken.get(key, _UNKNOWN)
                if row is _UNKNOWN:
                    row = hot(key, _UNKNOWN)
                    if row is _UNKNOWN:
                        absent.append(key)
                        places.append(place)
            rows.append(row)
        if absent:
            remember = self._hot.put
            for place, key, row in zip(places, absent, self._rows.read(absent), strict=True):
                rows[place] = row
                remember(key, row)
        return rows

    def get(self, key: Key) -> V | None:
        """The value under ``key``, or ``None``."""
        return self.get_many((key,))[0]

    def put(self, key: Key, value: V) -> None:
        """Set the value under ``key``; on disk only after the commit that takes it."""
        self._dirty[self._physical((key,))[0]] = self._codec.encode(value)

    def put_many(self, rows: Iterable[tuple[Key, V]]) -> None:
        """Set several values; none, should one of them not encode."""
        pairs = list(rows)
        encode = self._codec.encode
        keys = self._physical([key for key, _ in pairs])
        self._dirty.update(zip(keys, [encode(value) for _, value in pairs], strict=True))

    def delete(self, key: Key) -> None:
        """Remove ``key``: a tombstone in the changelog, whether or not there was a row."""
        self._dirty[self._physical((key,))[0]] = None

    def scan(self, prefix: str | bytes = b"") -> Iterator[tuple[Key, V]]:
        """Every key (that begins with ``prefix``) and its value, ascending by the key's bytes.

        For tools and tests: it reads the disk row by row. Changing the table while scanning it is an error.
        """
        for key, row in self.scan_rows(prefix.encode() if isinstance(prefix, str) else prefix):
            yield self._logical(key), self._codec.decode(row)

    def scan_rows(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Key bytes and encoded rows as reads see them, ascending."""
        start = self._prefix + prefix
        overlay = {k: row for k, row in (self._taken | self._dirty).items() if k.startswith(start)}
        # At equal keys the overlay (rank 0) comes first and hides what is on disk (rank 1).
        pending = [(key, 0, overlay[key]) for key in sorted(overlay)]
        committed = ((key, 1, row) for key, row in self._rows.scan(start, after_prefix(start)))
        last: bytes | None = None
        for key, _, row in merge(pending, committed, key=_order):
            if key != last and row is not None:
                yield key[len(self._prefix) :], row
            last = key

    @property
    def dirty(self) -> int:
        """Rows changed since the last take."""
        return len(self._dirty)

    # What follows is for the store that owns the table.

    def take(self) -> list[tuple[str, bytes, bytes | None]]:
        """Start the next generation; the rows of this one as (table, key bytes, row or None)."""
        self._taken, self._dirty = self._dirty, {}
        name, cut = self.name, len(self._prefix)
        return [(name, key[cut:], row) for key, row in self._taken.items()]

    @property
    def taken(self) -> dict[bytes, bytes | None]:
        """The rows in flight, by physical key."""
        return self._taken

    def settle(self) -> None:
        """The rows in flight are on disk now."""
        remember = self._hot.put
        for key, row in self._taken.items():
            remember(key, row)
        self._taken = {}

    def drop(self) -> None:
        """Forget every row that is not committed."""
        self._taken, self._dirty = {}, {}

    def _physical(self, keys: Sequence[Key]) -> list[bytes]:
        prefix = self._prefix
        try:
            if self._kind == "str":
                return [prefix + key.encode() for key in cast("Sequence[str]", keys)]
            if self._kind == "int":
                return [prefix + key.to_bytes(8, "big") for key in cast("Sequence[int]", keys)]
            return [prefix + key for key in cast("Sequence[bytes]", keys)]
        except (AttributeError, TypeError):
            wrong = sorted({type(key).__name__ for key in keys})
            raise TypeError(f"table {self.name} takes {self._kind} keys, not {', '.join(wrong)}") from None

    def _logical(self, key: bytes) -> Key:
        if self._kind == "str":
            return key.decode()
        if self._kind == "int":
            return int.from_bytes(key, "big")
        return key


def physical_prefix(table: str) -> bytes:
    """What the physical keys of a table begin with; physical order is the order of (table, key)."""
    return table.encode() + b"\0"


def after_prefix(prefix: bytes) -> bytes:
    """The smallest key above every key that begins with ``prefix``."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes((head[-1] + 1,))


def _order(entry: tuple[bytes, int, bytes | None]) -> tuple[bytes, int]:
    return entry[0], entry[1]
