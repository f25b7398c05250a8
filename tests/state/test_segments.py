"""A gap in the numbers is a loss; none is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.errors import StateCorrupt
from state.segments import FIRST, KEPT, LIMIT, PREFIX, Segments, key, number_of

if TYPE_CHECKING:
    from state.segments import Rows

Disk = dict[bytes, bytes | None]


def apply(disk: Disk, rows: Rows) -> None:
    """As one write."""
    for at, row in rows:
        if row is None:
            disk.pop(at, None)
        else:
            disk[at] = row


def found(disk: Disk) -> Segments:
    """As an open reads them."""
    first = disk.get(FIRST)
    numbers = sorted(number_of(at) for at in disk if at.startswith(PREFIX))
    return Segments(numbers, None if first is None else int(first))


def grown(segments: Segments, disk: Disk, count: int) -> None:
    """Write ``count`` more segments."""
    for _ in range(count):
        rows = segments.opening()
        apply(disk, rows)
        segments.written(rows)
        segments.close()


def test_only_the_first_write_of_a_segment_carries_its_number() -> None:
    """Until the memtable is changed."""
    segments = found({})
    assert segments.opening() == [(key(1), b"")]
    # A write that failed was not the first.
    assert segments.opening() == [(key(1), b"")]
    segments.written(segments.opening())
    assert segments.opening() == []
    segments.close()
    assert segments.opening() == [(key(2), b"")]


def test_every_open_begins_a_new_segment() -> None:
    """What a killed process had in its memtable is in a file now."""
    disk: Disk = {}
    for number in (1, 2, 3):
        assert found(disk).opening() == [(key(number), b"")]
        grown(found(disk), disk, 1)


@pytest.mark.parametrize("lost", [1, 2, 7])
def test_a_missing_segment_is_noticed_unless_it_is_the_last(lost: int) -> None:
    """Losing the end is what a power cut does, and the positions go back with it."""
    disk: Disk = {}
    grown(found(disk), disk, 8)
    without = {at: row for at, row in disk.items() if at != key(lost)}
    with pytest.raises(StateCorrupt, match="missing from the middle"):
        found(without)
    del disk[key(8)]
    assert found(disk).opening() == [(key(8), b"")]


def test_old_numbers_are_dropped_in_time_and_gaps_noticed_all_the_same() -> None:
    """The rows do not grow for ever, neither in one process nor over many."""
    disk: Disk = {}
    segments = found(disk)
    for number in range(1, 3 * LIMIT):
        grown(segments, disk, 1)
        if number % 500 == 0:
            segments = found(disk)
        assert len(disk) <= LIMIT + 2
    assert disk[FIRST] is not None
    assert found(disk).opening()[0] == (key(3 * LIMIT), b"")
    newest = 3 * LIMIT - 1
    for lost in (newest - 1, newest - KEPT + 1):
        with pytest.raises(StateCorrupt):
            found({at: row for at, row in disk.items() if at != key(lost)})


def test_the_numbers_start_over_with_rows_that_are_deleted_as_a_whole() -> None:
    """And losing that deletion, with newer rows there, is noticed."""
    disk: Disk = {}
    grown(found(disk), disk, 3)
    before = dict(disk)
    segments = found(disk)
    rows = segments.anew()
    disk.clear()
    apply(disk, rows)
    segments.written(rows)
    assert (segments.opening(), found(disk).opening()) == ([], [(key(5), b"")])
    segments.close()
    later = segments.opening()
    apply(disk, later)
    assert found(disk).opening() == [(key(6), b"")]
    apply(before, later)
    with pytest.raises(StateCorrupt):
        found(before)


def test_a_first_number_without_any_is_a_loss() -> None:
    """Nothing is written without a number."""
    with pytest.raises(StateCorrupt):
        found({FIRST: b"9"})
