"""What topic ``item-updates`` carries: a user task's deltas of one commit, for one item partition, in columns.

A record an item would be several times the input's rate; columns of integers are summed, cut and joined by numpy, and
cost a few bytes an item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import numpy.typing as npt

from streamer.core.items.state import LARGEST, MOST, Count, Era, Key, Words
from streamer.core.rows import read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK_VERSION: Final = 3

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]


class Told(msgspec.Struct, array_like=True, gc=False):
    """An item's id and attributes, as ``ItemState`` has them."""

    key: Key
    item: str
    words: Words
    words_ms: Count
    price_cents: Count
    price_ms: Count


class Block(msgspec.Struct, array_like=True):
    """``told``: sorted by key. ``lines``: (trend era, interest era, columns). ``pairs``: (era, columns)."""

    version: int
    told: list[Told]
    lines: list[tuple[Era, Era, list[bytes]]]
    pairs: list[tuple[Era, list[bytes]]]

    @staticmethod
    def empty() -> Block:
        """Nothing yet."""
        return Block(BLOCK_VERSION, [], [], [])

    def encode(self) -> bytes:
        """The record's value."""
        return _ENCODE(self)


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(Block).decode


def decode(block: bytes) -> Block:
    """The block of a record's value; what its columns hold is looked at by ``unpacked``.

    Raises ``msgspec.DecodeError`` (``ValidationError`` is one) if the bytes are no block, ``ValueError`` if they are of
    a version this program does not know.
    """
    return read(_DECODE, block, BLOCK_VERSION, "a block")


@dataclass(frozen=True, slots=True)
class LineColumns:
    """Sums of event lines by item, sorted by key, each once: counts by kind [4, n], first and last time, amounts."""

    keys: Keys
    counts: Ints
    first_ms: Ints
    last_ms: Ints
    trends: Ints
    interests: Ints

    @staticmethod
    def of_lines(keys: Keys, kinds: Ints, times: Ints, trends: Ints, interests: Ints) -> LineColumns:
        """Sums of single lines; ``kinds`` are places in ``deltas.KINDS``."""
        counts = (kinds == np.arange(4)[:, None]).astype(np.int64)
        return LineColumns(keys, counts, times, times, trends, interests).summed()

    def summed(self) -> LineColumns:
        """With rows in any order and keys that come more than once: sorted and added up."""
        if not len(self.keys):
            return self
        order = np.argsort(self.keys, kind="stable")
        keys = self.keys[order]
        at = _starts(keys[1:] != keys[:-1])
        return LineColumns(
            keys[at],
            np.add.reduceat(self.counts[:, order], at, axis=1),
            np.minimum.reduceat(self.first_ms[order], at),
            np.maximum.reduceat(self.last_ms[order], at),
            np.add.reduceat(self.trends[order], at),
            np.add.reduceat(self.interests[order], at),
        )

    @staticmethod
    def joined(parts: Sequence[LineColumns]) -> LineColumns:
        """The sum of several."""
        return LineColumns(
            np.concatenate([p.keys for p in parts]),
            np.concatenate([p.counts for p in parts], axis=1),
            np.concatenate([p.first_ms for p in parts]),
            np.concatenate([p.last_ms for p in parts]),
            np.concatenate([p.trends for p in parts]),
            np.concatenate([p.interests for p in parts]),
        ).summed()

    def split(self, partitions: int) -> Iterator[tuple[int, LineColumns]]:
        """By item partition."""
        for partition, here in _places(self.keys, partitions):
            yield (
                partition,
                LineColumns(
                    self.keys[here],
                    self.counts[:, here],
                    self.first_ms[here],
                    self.last_ms[here],
                    self.trends[here],
                    self.interests[here],
                ),
            )

    def packed(self) -> list[bytes]:
        """The columns as little-endian 64-bit integers."""
        columns = (*self.counts, self.first_ms, self.last_ms, self.trends, self.interests)
        return [self.keys.astype("<u8").tobytes(), *(column.astype("<i8").tobytes() for column in columns)]

    @staticmethod
    def unpacked(columns: Sequence[bytes]) -> LineColumns:
        """The reverse. Raises ``ValueError`` if the columns do not fit together or hold what no sum can be."""
        keys, numbers = _unpacked(columns, 9)
        counts, times, amounts = numbers[:4], numbers[4:6], numbers[6:]
        if numbers.size and (
            min(counts.min(), times.min()) < 0
            or max(counts.max(), times.max()) > LARGEST
            or not -MOST <= amounts.min() <= amounts.max() <= MOST
        ):
            raise ValueError("a sum of lines is out of range")
        return LineColumns(keys, counts, times[0], times[1], amounts[0], amounts[1])


@dataclass(frozen=True, slots=True)
class PairColumns:
    """Co-visitation of one era, sorted by key, then neighbour, each once, both ways."""

    keys: Keys
    neighbours: Keys
    amounts: Ints

    @staticmethod
    def summed(keys: Keys, neighbours: Keys, amounts: Ints) -> PairColumns:
        """Columns of pairs in any order, equal ones added up."""
        order = np.lexsort((neighbours, keys))
        keys, neighbours, amounts = keys[order], neighbours[order], amounts[order]
        if not len(keys):
            return PairColumns(keys, neighbours, amounts)
        at = _starts((keys[1:] != keys[:-1]) | (neighbours[1:] != neighbours[:-1]))
        return PairColumns(keys[at], neighbours[at], np.add.reduceat(amounts, at))

    @staticmethod
    def joined(parts: Sequence[PairColumns]) -> PairColumns:
        """The sum of several."""
        return PairColumns.summed(
            np.concatenate([p.keys for p in parts]),
            np.concatenate([p.neighbours for p in parts]),
            np.concatenate([p.amounts for p in parts]),
        )

    def split(self, partitions: int) -> Iterator[tuple[int, PairColumns]]:
        """By item partition."""
        for partition, here in _places(self.keys, partitions):
            yield partition, PairColumns(self.keys[here], self.neighbours[here], self.amounts[here])

    def packed(self) -> list[bytes]:
        """The columns as little-endian 64-bit integers."""
        return [
            self.keys.astype("<u8").tobytes(),
            self.neighbours.astype("<u8").tobytes(),
            self.amounts.astype("<i8").tobytes(),
        ]

    @staticmethod
    def unpacked(columns: Sequence[bytes]) -> PairColumns:
        """The reverse. Raises ``ValueError`` if the columns do not fit together or hold what no sum can be."""
        keys, numbers = _unpacked(columns, 3)
        neighbours, amounts = numbers[0].view("<u8"), numbers[1]
        if len(amounts) and not 0 <= amounts.min() <= amounts.max() <= MOST:
            raise ValueError("an amount of a pair is out of range")
        return PairColumns(keys, neighbours, amounts)

    def by_key(self) -> dict[int, dict[int, int]]:
        """By item key, the amount of each neighbour key."""
        keys, near, many = self.keys, self.neighbours.tolist(), self.amounts.tolist()
        starts = _starts(keys[1:] != keys[:-1]) if len(keys) else np.zeros(0, np.int64)
        ends = [*starts[1:].tolist(), len(keys)]
        return {
            key: dict(zip(near[start:end], many[start:end], strict=True))
            for key, start, end in zip(keys[starts].tolist(), starts.tolist(), ends, strict=False)
        }


def _starts(changes: npt.NDArray[np.bool_]) -> Ints:
    """Where a run of equal rows begins; ``changes`` tells of each row but the first whether it differs."""
    return np.flatnonzero(np.concatenate(([True], changes)))


def _places(keys: Keys, partitions: int) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
    places = keys % np.uint64(partitions)
    for partition in np.unique(places).tolist():
        yield partition, places == partition


def _unpacked(columns: Sequence[bytes], count: int) -> tuple[Keys, Ints]:
    """The first column as keys, the others as integers [count - 1, n]."""
    if len(columns) != count or len({len(column) for column in columns}) != 1 or len(columns[0]) % 8:
        raise ValueError("columns that do not fit together")
    numbers = np.frombuffer(b"".join(columns[1:]), "<i8").reshape(count - 1, -1)
    return np.frombuffer(columns[0], "<u8"), numbers
