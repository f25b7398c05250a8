"""Proof that nothing is missing from the middle of a store.

RocksDB checks each block it reads, not that every file is still there. With a write-ahead log gone or empty while a
newer one is left, or with the last bytes of its MANIFEST cut off, a store opens without complaint: newer rows and
positions on top of older ones, and the rows between them lost (seen when each file of a killed process was damaged).

So a store's rows are cut into *segments*, a memtable and its log each, and the first write of a segment carries a row
with its number. What is lost is lost by whole segments, or from the end on. A gap in the numbers is a loss that the
positions do not know of; without one, rows and positions agree. Memtables may be changed by nobody but us for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from state.errors import StateCorrupt

if TYPE_CHECKING:
    from collections.abc import Iterable

Rows = list[tuple[bytes, bytes | None]]

#: Begins the keys of the numbers, below every table's rows.
PREFIX: Final = b"\0segment\0"
#: The row that says which number comes first, where that is not 1.
FIRST: Final = b"\0segments_first"

#: Of so many numbers all are kept, or else only the newest few: older segments have been merged into files whose
#: absence RocksDB notices.
LIMIT: Final = 1024
KEPT: Final = 64


class Segments:
    """The numbers of a store's segments. A segment opens with the first write after the last one was closed."""

    def __init__(self, numbers: Iterable[int], first: int | None) -> None:
        """As found on disk. Raises StateCorrupt when one is missing."""
        found = list(numbers)
        self._first = 1 if first is None else first
        if found != list(range(self._first, self._first + len(found))) or (first is not None and not found):
            raise StateCorrupt(
                f"rows are missing from the middle: of the write buffers from {self._first} on, "
                f"{found[0] if found else 'none'} to {found[-1] if found else 'none'} are here, with gaps: "
                "set it aside and rebuild from the changelogs"
            )
        self._number = self._first + len(found) - 1
        self._open = False

    def opening(self) -> Rows:
        """What the next write must carry; nothing while the segment is open."""
        if self._open:
            return []
        number = self._number + 1
        rows: Rows = [(key(number), b"")]
        if number - self._first >= LIMIT:
            rows += [(key(old), None) for old in range(self._first, number - KEPT)]
            rows.append((FIRST, b"%d" % (number - KEPT)))
        return rows

    def anew(self) -> Rows:
        """What a write must carry that deletes everything before it."""
        number = self._number if self._open else self._number + 1
        return [(key(number), b""), (FIRST, b"%d" % number)]

    def written(self, rows: Rows) -> None:
        """A write that carried ``rows``, made by ``opening`` or ``anew``, is done."""
        for row, value in rows:
            if row == FIRST and value is not None:
                self._first = int(value)
        if rows and not self._open:
            self._number += 1
            self._open = True

    def close(self) -> None:
        """The memtable was changed: what is written next begins a segment."""
        self._open = False


def key(number: int) -> bytes:
    """Of a segment's number."""
    return PREFIX + number.to_bytes(8, "big")


def number_of(row: bytes) -> int:
    """The other way."""
    return int.from_bytes(row[len(PREFIX) :], "big")
