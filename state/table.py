"""Keyed state of a task: a write-behind overlay over committed rows."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from state.codecs import Codec
    from state.hot import HotRows

V = TypeVar("V")
K = TypeVar("K", bound="str | bytes | int")
Key = str | bytes | int
_UNKNOWN: Final = object()


@dataclass(frozen=True, slots=True)
class TableSpec(Generic[V]):
    """A table's name, how its values are coded, and what its keys are.

    ``immutable`` values are kept decoded, and every reader of a key is given the same object; nobody may change it.
    Other values are decoded anew for each reader. ``cached``: what was read or put lately stays in memory; not worth it
    for a table that is read by ranges.
    Keys are text (stored as UTF-8), bytes, or unsigned 64-bit integers (stored big-endian, so that byte order is their
    order). The name is part of every row on disk and of the changelog's name: it never changes.
    """

    name: str
    codec: Codec[V]
    key: Literal["str", "int", "bytes"] = "str"
    immutable: bool = False
    cached: bool = True

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

    Values are encoded at once: one that cannot be is refused by ``put``, and what the caller does to a mutable object
    afterwards changes nothing.
    """

    def __init__(self, spec: TableSpec[V], rows: CommittedRows, hot: HotRows) -> None:
        self.name = spec.name
        self._kind = spec.key
        self._codec = spec.codec
        self._prefix = physical_prefix(spec.name)
        self._rows = rows
        # What was read or put lately, newest state of each key: values if they are immutable, otherwise rows.
        self._hot = hot
        self._immutable = spec.immutable
        # Newest first: rows changed since the last take, rows taken but not yet committed.
        self._dirty: dict[bytes, bytes | None] = {}
        self.written_bytes = 0
        """Of rows put since the last take, those that were replaced since counted too."""
        self._taken: dict[bytes, bytes | None] = {}

    def get_many(self, keys: Sequence[Key]) -> list[V | None]:
        """The values under ``keys``, ``None`` where there is none. One read of the disk."""
        physical = self._physical(keys)
        hot = self._hot.get
        found: list[Any] = [hot(key, _UNKNOWN) for key in physical]
        absent = [place for place, value in enumerate(found) if value is _UNKNOWN]
        if absent:
            self._read(physical, absent, found)
        if self._immutable:
            return found
        decode = self._codec.decode
        return [None if row is None else decode(row) for row in found]

    def _read(self, keys: Sequence[bytes], places: Sequence[int], into: list[Any]) -> None:
        """Fill in what the cache does not know, and let it know."""
        dirty, taken, decode, remember = self._dirty, self._taken, self._codec.decode, self._hot.put
        rows: dict[int, bytes | None] = {}
        for place in places:
            row: Any = dirty.get(keys[place], _UNKNOWN)
            if row is _UNKNOWN:
                row = taken.get(keys[place], _UNKNOWN)
            if row is not _UNKNOWN:
                rows[place] = row
        on_disk = [place for place in places if place not in rows]
        rows.update(zip(on_disk, self._rows.read([keys[place] for place in on_disk]), strict=True))
        for place, row in rows.items():
            value = decode(row) if row is not None and self._immutable else row
            into[place] = value
            remember(keys[place], value, 0 if row is None else len(row))

    def get(self, key: Key) -> V | None:
        """The value under ``key``, or ``None``."""
        return self.get_many((key,))[0]

    def put(self, key: Key, value: V) -> None:
        """Set the value under ``key``; on disk only after the commit that takes it."""
        self.put_many(((key, value),))

    def put_many(self, rows: Iterable[tuple[Key, V]]) -> None:
        """Set several values; none, should one of them not encode."""
        pairs = list(rows)
        encode = self._codec.encode
        keys = self._physical([key for key, _ in pairs])
        encoded = [encode(value) for _, value in pairs]
        self._dirty.update(zip(keys, encoded, strict=True))
        self.written_bytes += sum(map(len, encoded))
        remember, immutable = self._hot.put, self._immutable
        for key, row, (_, value) in zip(keys, encoded, pairs, strict=True):
            remember(key, value if immutable else row, len(row))

    def delete(self, key: Key) -> None:
        """Remove ``key``: a tombstone in the changelog, whether or not there was a row."""
        physical = self._physical((key,))[0]
        self._dirty[physical] = None
        self._hot.put(physical, None, 0)

    def write(self, rows: Mapping[K, V | None]) -> None:
        """Put the rows; one that is ``None`` is deleted."""
        self.put_many((key, row) for key, row in rows.items() if row is not None)
        for key, row in rows.items():
            if row is None:
                self.delete(key)

    def range(self, start: Key, end: Key, limit: int) -> list[tuple[Key, V]]:
        """The first ``limit`` rows with start ≤ key < end, ascending by the key's bytes.

        The disk is read from ``start`` on, over whatever was deleted behind it and is not yet compacted away: whoever
        takes the first rows again and again, and deletes them, asks from the last one on.
        """
        low, high = self._physical((start, end))
        rows = islice(self._rows_between(low, high), limit)
        return [(self._logical(key[len(self._prefix) :]), self._codec.decode(row)) for key, row in rows]

    def ranges(self, spans: Sequence[tuple[K, K]], limit: int) -> list[tuple[int, Key, V]]:
        """As ``range`` of each (start, end), in their order, ``limit`` rows in all: the span's place, key and value.

        What is not committed is put in order once for all of them.
        """
        found: list[tuple[int, Key, V]] = []
        uncommitted = sorted({**self._taken, **self._dirty})
        for place, edges in enumerate(spans):
            low, high = self._physical(edges)
            rows = self._rows_between(low, high, uncommitted)
            for key, row in islice(rows, limit - len(found)):
                found.append((place, self._logical(key[len(self._prefix) :]), self._codec.decode(row)))
            if len(found) == limit:
                break
        return found

    def scan(self, prefix: str | bytes = b"") -> Iterator[tuple[Key, V]]:
        """Every key (that begins with ``prefix``) and its value, ascending by the key's bytes.

        For tools and tests: it reads the disk row by row. Changing the table while scanning it is an error.
        """
        for key, row in self.scan_rows(prefix.encode() if isinstance(prefix, str) else prefix):
            yield self._logical(key), self._codec.decode(row)

    def scan_rows(self, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Key bytes and encoded rows as reads see them, ascending."""
        start = self._prefix + prefix
        for key, row in self._rows_between(start, after_prefix(start)):
            yield key[len(self._prefix) :], row

    def _rows_between(
        self, start: bytes, end: bytes, uncommitted: Sequence[bytes] | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Physical keys and encoded rows with start ≤ key < end, as reads see them, ascending.

        ``uncommitted``: the keys that are not, sorted, if the caller has them.
        """
        taken, dirty = self._taken, self._dirty
        if uncommitted is None:
            keys: Sequence[bytes] = sorted({key for rows in (taken, dirty) for key in rows if start <= key < end})
        else:
            keys = uncommitted[bisect_left(uncommitted, start) : bisect_left(uncommitted, end)]
        # At equal keys the overlay (rank 0) comes first and hides what is on disk (rank 1).
        pending = [(key, 0, dirty[key] if key in dirty else taken[key]) for key in keys]
        committed = ((key, 1, row) for key, row in self._rows.scan(start, end))
        last: bytes | None = None
        for key, _, row in merge(pending, committed, key=_order):
            if key != last and row is not None:
                yield key, row
            last = key

    @property
    def dirty(self) -> int:
        """Rows changed since the last take."""
        return len(self._dirty)

    # What follows is for the store that owns the table.

    def take(self) -> list[tuple[str, bytes, bytes | None]]:
        """Start the next generation; the rows of this one as (table, key bytes, row or None)."""
        self._taken, self._dirty, self.written_bytes = self._dirty, {}, 0
        name, cut = self.name, len(self._prefix)
        return [(name, key[cut:], row) for key, row in self._taken.items()]

    @property
    def taken(self) -> dict[bytes, bytes | None]:
        """The rows in flight, by physical key."""
        return self._taken

    def settle(self) -> None:
        """The rows in flight are on disk now."""
        self._taken = {}

    def drop(self) -> None:
        """Forget every row that is not committed."""
        self._taken, self._dirty, self.written_bytes = {}, {}, 0
        self._hot.clear()

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
