"""What every task store promises of its rows in the order of their keys: scans and ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.codecs import RawCodec
from state.table import TableSpec
from tests.state.conftest import commit

if TYPE_CHECKING:
    from tests.state.conftest import Disk


def test_a_scan_sees_the_overlay_in_key_order(disk: Disk) -> None:
    """Committed rows, in-flight rows and newer ones, deletions left out, other tables not seen."""
    store = disk.open()
    rows = store.table("rows")
    for key in ("b", "d", "e"):
        rows.put(key, b"committed")
    store.table("rows-2").put(b"a", b"other")
    commit(store, rows=1)
    rows.put("a", b"taken")
    rows.put("b", b"taken")
    rows.delete("e")
    store.take_changes()
    rows.put("b", b"dirty")
    rows.delete("a")
    rows.put("c\xff", b"dirty")
    assert list(rows.scan()) == [("b", b"dirty"), ("c\xff", b"dirty"), ("d", b"committed")]
    assert list(rows.scan("c")) == [("c\xff", b"dirty")]
    assert list(store.table("rows-2").scan()) == [(b"a", b"other")]


def test_a_range_is_the_first_rows_between_two_keys_over_every_generation(disk: Disk) -> None:
    """What was deleted since is not among them, what was put since is; the end is not, nor another table's rows."""
    store = disk.open()
    rows = store.table("rows")
    for key in ("b", "d", "f", "h"):
        rows.put(key, b"committed")
    store.table("rows-2").put(b"c", b"another table's")
    commit(store, rows=5)
    rows.put("c", b"taken")
    rows.delete("d")
    store.take_changes()
    rows.put("e", b"dirty")
    rows.put("f", b"dirty")
    rows.delete("h")
    assert rows.range("b", "z", 9) == [("b", b"committed"), ("c", b"taken"), ("e", b"dirty"), ("f", b"dirty")]
    assert rows.range("b", "z", 2) == [("b", b"committed"), ("c", b"taken")]
    assert rows.range("bb", "f", 9) == [("c", b"taken"), ("e", b"dirty")]
    assert rows.range("z", "b", 9) == rows.range("b", "b", 9) == rows.range("b", "z", 0) == []
    store.committed({"rows": 9})
    assert [key for key, _ in rows.range("", "\U0010ffff", 9)] == ["b", "c", "e", "f"]


@pytest.mark.parametrize("limit", range(8))
def test_ranges_are_what_each_range_gives_one_after_the_other(disk: Disk, limit: int) -> None:
    """Up to the limit, over every generation; a span may come twice, and one may be empty."""
    store = disk.open()
    rows = store.table("rows")
    for key in ("a1", "a2", "b1", "d1"):
        rows.put(key, b"committed")
    commit(store, rows=1)
    rows.put("a0", b"taken")
    rows.delete("b1")
    rows.put("a2", b"taken")
    store.take_changes()
    rows.put("a2", b"dirty")
    rows.put("b2", b"dirty")
    rows.delete("d1")
    spans = [("b", "c"), ("d", "e"), ("a", "b"), ("a2", "a2\0"), ("b", "a")]
    each = [(place, key, row) for place, span in enumerate(spans) for key, row in rows.range(*span, 99)]
    assert [(place, key) for place, key, _ in each] == [(0, "b2"), (2, "a0"), (2, "a1"), (2, "a2"), (3, "a2")]
    assert rows.ranges(spans, limit) == each[:limit]
    assert rows.ranges([], limit) == []


def test_integer_keys_have_ranges_in_their_order(disk: Disk) -> None:
    """Also where a number takes more bytes than its neighbour."""
    counts = disk.open().table("counts")
    for number in (300, 2, 255, 256):
        counts.put(number, [number])
    assert counts.range(3, 300, 9) == [(255, [255]), (256, [256])]


def test_a_table_that_is_not_cached_reads_as_any_other(disk: Disk) -> None:
    """Only that nothing of it stays in memory."""
    spec = TableSpec("by-time", RawCodec(), cached=False)
    store = disk.open(tables=(spec,))
    table = store.table(spec)
    table.put("a", b"1")
    commit(store, log=1)
    table.put("a", b"2")
    assert (table.get("a"), table.range("", "b", 1)) == (b"2", [("a", b"2")])


def test_integer_keys_scan_in_their_order(disk: Disk) -> None:
    """Eight bytes big-endian, unsigned to 2^64 - 1."""
    store = disk.open()
    counts = store.table("counts")
    keys = [0, 255, 256, 2**32, 2**63, 2**64 - 1]
    counts.put_many([(key, [key % 7]) for key in reversed(keys)])
    commit(store, counts=1)
    assert list(counts.scan()) == [(key, [key % 7]) for key in keys]
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError):
            counts.get(wrong)
