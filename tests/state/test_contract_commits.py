"""What every task store promises of a commit, whatever lies beneath: all or nothing, in order, and nothing before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.errors import StateError
from state.memory import MemoryBackend, MemoryDisk
from state.store import TaskStore
from tests.state.conftest import IDENTITY, TABLES, commit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.state.conftest import Disk


def test_nothing_reaches_the_disk_before_the_commit(disk: Disk) -> None:
    """Neither puts nor taken changes survive a store that was not told of a commit."""
    store = disk.open()
    store.table("rows").put("kept", b"1")
    commit(store, rows=1)
    store.table("rows").put("dirty", b"2")
    store.table("rows").delete("kept")
    assert list(store.committed_rows()) == [("rows", b"kept", b"1")]
    store = disk.open()
    assert store.table("rows").get_many(["kept", "dirty"]) == [b"1", None]

    store.table("rows").put("taken", b"3")
    store.take_changes()
    assert list(store.committed_rows()) == [("rows", b"kept", b"1")]
    store = disk.open()
    assert store.table("rows").get_many(["kept", "taken"]) == [b"1", None]
    assert store.positions() == {"rows": 1}


def test_a_commit_makes_rows_positions_and_meta_durable_together(disk: Disk) -> None:
    """All that one commit wrote is there after reopening."""
    store = disk.open()
    store.table("rows").put("a", b"1")
    store.table("counts").put(3, [5])
    store.take_changes()
    store.committed({"rows": 12, "counts": 4}, fresh_ms=1_700_000_000_000, meta={"journal": b"\x00x", "gone": b"y"})
    store.committed({}, meta={"gone": None})
    store = disk.open()
    assert store.table("rows").get("a") == b"1"
    assert store.table("counts").get(3) == [5]
    assert store.positions() == {"rows": 12, "counts": 4}
    assert store.fresh_ms() == 1_700_000_000_000
    assert (store.meta("journal"), store.meta("gone"), store.meta("never")) == (b"\x00x", None, None)


def test_changes_are_taken_once_each_with_the_newest_row(disk: Disk) -> None:
    """Several writes to a key in one interval are one changelog row; a deletion is a tombstone."""
    store = disk.open()
    store.table("counts").put(256, [1])
    store.table("rows").put("b", b"old")
    store.table("rows").put("a", b"1")
    store.table("rows").put("b", b"new")
    store.table("rows").delete("c")
    assert store.dirty == 4
    assert store.take_changes() == [
        ("rows", b"b", b"new"),
        ("rows", b"a", b"1"),
        ("rows", b"c", None),
        ("counts", b"\0\0\0\0\0\0\1\0", b"\x01\x91\x01"),
    ]
    assert (store.dirty, store.in_flight) == (0, True)
    store.committed({"rows": 3})
    assert store.in_flight is False
    assert store.take_changes() == []


def test_changes_made_while_a_commit_is_in_flight_belong_to_the_next(disk: Disk) -> None:
    """They are seen by reads, not written by the commit before them, and not lost by it."""
    store = disk.open()
    rows = store.table("rows")
    for key in ("a", "b", "c"):
        rows.put(key, b"first")
    store.take_changes()
    rows.put("a", b"second")
    rows.delete("b")
    assert rows.get_many(["a", "b", "c"]) == [b"second", None, b"first"]
    store.committed({"rows": 3})
    assert rows.get_many(["a", "b", "c"]) == [b"second", None, b"first"]
    assert [row for _, _, row in store.committed_rows()] == [b"first"] * 3
    assert store.take_changes() == [("rows", b"a", b"second"), ("rows", b"b", None)]
    store.committed({"rows": 5})
    assert disk.open().table("rows").get_many(["a", "b", "c"]) == [b"second", None, b"first"]


def test_rows_read_before_a_commit_are_read_anew_after_it(disk: Disk) -> None:
    """What was cached as of then, absent rows included, does not outlive the commit that changes it."""
    store = disk.open()
    rows = store.table("rows")
    assert rows.get("a") is None
    for row in (b"1", b"2", None, b"3"):
        if row is None:
            rows.delete("a")
        else:
            rows.put("a", row)
        commit(store, rows=1)
        assert rows.get("a") == row


def test_a_commit_is_one_write_and_one_that_fails_changes_nothing() -> None:
    """All or nothing is left to one batch; a refusing disk leaves the changes in flight, to be tried again."""

    class Counting(MemoryBackend):
        """Remembers the keys of each write, and refuses while told to."""

        refuses = False

        def write(self, rows: Iterable[tuple[bytes, bytes | None]], *, logged: bool) -> None:
            batch = list(rows)
            if self.refuses:
                raise StateError("no space left")
            writes.append((sorted(key for key, _ in batch), logged))
            super().write(batch, logged=logged)

    writes: list[tuple[list[bytes], bool]] = []
    backend = Counting(MemoryDisk())
    store = TaskStore(backend, TABLES, IDENTITY, hot_rows_bytes=1000)
    store.table("rows").put("a", b"1")
    store.table("rows-2").put(b"b", b"2")
    store.take_changes()
    backend.refuses = True
    with pytest.raises(StateError, match="no space"):
        store.committed({"rows": 1}, fresh_ms=1, meta={"m": b""})
    assert (store.in_flight, store.positions(), store.table("rows").get("a")) == (True, {}, b"1")
    backend.refuses = False
    store.committed({"rows": 1}, fresh_ms=1, meta={"m": b""})
    keys = [b"\0fresh_ms", b"\0meta\0m", b"\0position\0rows", b"rows\0a", b"rows-2\0b"]
    assert writes == [(keys, True)]
    store.restore("rows", [(b"c", b"3")], 2)
    assert writes[1:] == [([b"\0position\0rows", b"rows\0c"], False)]


def test_an_abort_brings_back_what_was_committed_last(disk: Disk) -> None:
    """Both generations go, also where they deleted, and positions stay."""
    store = disk.open()
    rows = store.table("rows")
    rows.put("a", b"kept")
    rows.put("b", b"kept")
    commit(store, rows=2)
    rows.put("a", b"lost")
    rows.delete("b")
    store.take_changes()
    rows.put("c", b"lost too")
    store.aborted()
    assert rows.get_many(["a", "b", "c"]) == [b"kept", b"kept", None]
    assert (store.dirty, store.in_flight, store.positions()) == (0, False, {"rows": 2})
    assert store.take_changes() == []


def test_a_second_take_in_flight_is_refused(disk: Disk) -> None:
    """One transaction at a time; the refusal loses nothing."""
    store = disk.open()
    store.table("rows").put("a", b"1")
    store.take_changes()
    store.table("rows").put("b", b"2")
    with pytest.raises(StateError, match="in flight"):
        store.take_changes()
    store.committed({"rows": 1})
    assert store.take_changes() == [("rows", b"b", b"2")]


def test_a_position_never_goes_back(disk: Disk) -> None:
    """Neither by a commit nor by a restore; what was in flight stays so."""
    store = disk.open()
    commit(store, rows=10)
    store.table("rows").put("a", b"1")
    store.take_changes()
    with pytest.raises(StateError, match="go back from 10 to 9"):
        store.committed({"rows": 9})
    assert (store.in_flight, list(store.committed_rows())) == (True, [])
    store.aborted()
    with pytest.raises(StateError, match="go back"):
        store.restore("rows", [(b"a", b"1")], 9)
    store.committed({"rows": 10})
    assert store.positions() == {"rows": 10}
