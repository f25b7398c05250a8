"""What every task store promises, whatever lies beneath."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.codecs import StructCodec
from state.errors import StateCorrupt, StateError, StateForeign, StateLocked, StateVersionError
from state.memory import MemoryBackend, MemoryDisk
from state.store import TaskIdentity, TaskStore, digest_rows
from state.table import TableSpec
from tests.state.conftest import IDENTITY, TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.state.conftest import Disk


def commit(store: TaskStore, **positions: int) -> None:
    """One whole transaction."""
    store.take_changes()
    store.committed(positions)


def test_a_put_is_read_back_at_once_and_a_delete_hides_it(disk: Disk) -> None:
    """Reads see every earlier write, committed or not."""
    store = disk.open()
    rows = store.table("rows")
    rows.put("a", b"1")
    assert store.table(TABLES[0]) is rows
    assert rows.get_many(["a", "b", "a"]) == [b"1", None, b"1"]
    rows.delete("a")
    assert rows.get("a") is None


def test_rows_are_written_together_and_one_that_is_none_is_deleted(disk: Disk) -> None:
    """Whether or not there was one."""
    rows = disk.open().table("rows")
    rows.put_many([("a", b"1"), ("b", b"1")])
    rows.write({"a": None, "b": b"2", "c": b"2", "d": None})
    assert rows.get_many(["a", "b", "c", "d"]) == [None, b"2", b"2", None]


def test_values_are_fresh_objects_and_mutating_them_changes_nothing(disk: Disk) -> None:
    """Neither the object put nor one that was got stays tied to the table."""
    counts = disk.open().table("counts")
    value = [1, 2]
    counts.put(7, value)
    value.append(3)
    got = counts.get(7)
    assert got == [1, 2]
    got.append(4)
    assert counts.get_many([7, 7]) == [[1, 2], [1, 2]]


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


def test_a_restore_applies_a_changelog_and_moves_its_position(disk: Disk) -> None:
    """Later rows of a key win, tombstones delete, earlier reads are not remembered, other tables are apart."""
    store = disk.open()
    rows = store.table("rows")
    assert rows.get_many(["a", "b", "c"]) == [None, None, None]
    store.restore("rows", [(b"a", b"1"), (b"b", b"1"), (b"a", b"2")], 3)
    assert rows.get_many(["a", "b", "c"]) == [b"2", b"1", None]
    store.restore("rows", [(b"b", None), (b"c", b"3")], 6)
    store.restore("counts", [(bytes(8), b"\x01\x91\x05")], 1, changelog="counts-changelog")
    assert rows.get_many(["a", "b", "c"]) == [b"2", None, b"3"]
    store = disk.open()
    assert store.table("rows").get_many(["a", "b", "c"]) == [b"2", None, b"3"]
    assert store.table("counts").get(0) == [5]
    assert store.positions() == {"rows": 6, "counts-changelog": 1}


def test_a_restore_over_uncommitted_changes_is_refused(disk: Disk) -> None:
    """They would hide what is restored."""
    store = disk.open()
    store.table("rows").put("a", b"1")
    with pytest.raises(StateError, match="uncommitted"):
        store.restore("rows", [(b"a", b"2")], 1)
    store.take_changes()
    with pytest.raises(StateError, match="uncommitted"):
        store.restore("rows", [(b"a", b"2")], 1)
    assert store.positions() == {}


def test_a_store_restored_from_changes_digests_like_the_one_that_made_them(disk: Disk) -> None:
    """Local state = compacted changelog, and the digest ignores positions, meta and the order of writing."""
    store = disk.open()
    changelog = []
    for step in range(3):
        for key in range(20):
            store.table("rows").put(f"k{key}", b"%d" % (step * key))
            store.table("counts").put(key, [step])
        store.table("rows").delete(f"k{step}")
        changelog += store.take_changes()
        store.committed({"rows": len(changelog)}, fresh_ms=step)
    compacted = {(table, key): row for table, key, row in changelog}
    expected = digest_rows((*at, row) for at, row in sorted(compacted.items()) if row is not None)
    assert store.digest() == expected

    store.wipe()
    assert store.digest() == digest_rows([])
    for name in ("counts", "rows"):
        store.restore(name, [(key, row) for table, key, row in reversed(changelog) if table == name][::-1], 1)
    assert store.digest() == expected
    store.table("rows").put("uncommitted", b"")
    assert store.digest() == expected


def test_the_digest_tells_apart_tables_keys_rows_and_where_they_end() -> None:
    """Length prefixes: no two different contents run together."""
    contents = [
        [("a", b"b", b"c")],
        [("a", b"bc", b"")],
        [("ab", b"", b"c")],
        [("a", b"", b"bc")],
        [("a", b"b", b"c"), ("a", b"b", b"c")],
        [],
    ]
    assert len({digest_rows(rows) for rows in contents}) == len(contents)


def test_a_wipe_leaves_the_identity_alone(disk: Disk) -> None:
    """Rows, positions, meta and uncommitted changes go; the store goes on, and only for its own task."""
    store = disk.open()
    store.table("rows").put("a", b"1")
    store.take_changes()
    store.committed({"rows": 5}, fresh_ms=9, meta={"m": b"1"})
    store.table("rows").put("b", b"1")
    store.take_changes()
    store.wipe()
    assert store.table("rows").get_many(["a", "b"]) == [None, None]
    assert (store.positions(), store.fresh_ms(), store.meta("m"), store.in_flight) == ({}, None, None, False)
    store.restore("rows", [(b"z", b"9")], 2)
    store = disk.open()
    assert list(store.committed_rows()) == [("rows", b"z", b"9")]
    disk.close()
    with pytest.raises(StateForeign):
        disk.open_another(TaskIdentity("user", 2, 4, "shop-"))


@pytest.mark.parametrize(
    "other",
    [
        TaskIdentity("item", 1, 4, "shop-"),
        TaskIdentity("user", 0, 4, "shop-"),
        TaskIdentity("user", 1, 8, "shop-"),
        TaskIdentity("user", 1, 4, ""),
    ],
)
def test_foreign_state_is_refused_naming_both(disk: Disk, other: TaskIdentity) -> None:
    """Each part of the identity counts, and the refusal leaves the owner's state alone."""
    commit(disk.open(), rows=3)
    disk.close()
    with pytest.raises(StateForeign, match=r"role='user', partition=1, partitions=4.*set it aside"):
        disk.open_another(other)
    assert disk.open().positions() == {"rows": 3}


def test_a_disk_of_another_format_or_without_its_identity_is_refused(disk: Disk) -> None:
    """A newer format asks for the newer release; half an identity is damage."""
    store = disk.open()
    commit(store, rows=3)
    backend = store._backend
    backend.write([(b"\0format", b"3")], logged=True)
    with pytest.raises(StateVersionError, match="format 3, this release reads up to 2"):
        disk.open()
    disk.close()


@pytest.mark.parametrize("lost", [[b"\0format"], [b"\0identity"], [b"\0format", b"\0identity"]])
def test_rows_that_do_not_say_whose_they_are_are_refused(disk: Disk, lost: list[bytes]) -> None:
    """Better a rebuild than another task's rows."""
    store = disk.open()
    commit(store, rows=3)
    store._backend.write([(key, None) for key in lost], logged=True)
    with pytest.raises(StateCorrupt, match="set it aside"):
        disk.open()


def test_a_held_disk_is_locked_until_closed(disk: Disk) -> None:
    """Also after an open that was refused, the disk is free for the right one."""
    store = disk.open()
    with pytest.raises(StateLocked, match="retry"):
        disk.open_another()
    store.close()
    store.close()
    with pytest.raises(StateForeign) as refusal:
        disk.open_another(TaskIdentity("trainer", 0, 1))
    disk.open()
    # The frames that this keeps alive must not be what keeps the lock.
    assert refusal.tb is not None


def test_a_closed_store_refuses_work(disk: Disk) -> None:
    """Reads and commits alike."""
    store = disk.open()
    store.table("rows").put("a", b"1")
    store.close()
    for use in (
        store.take_changes,
        store.aborted,
        store.wipe,
        lambda: store.committed({}),
        lambda: store.restore("rows", [], 1),
        lambda: store.table("rows").get("never read"),
        store.digest,
    ):
        with pytest.raises(StateError, match="closed"):
            use()


@pytest.mark.parametrize("key", ["", "a\0b", "ключ", "\U0001f600", "k" * 5000])
def test_any_text_is_a_key(disk: Disk, key: str) -> None:
    """Empty, with NUL, not ASCII, long."""
    store = disk.open()
    store.table("rows").put(key, b"")
    commit(store, rows=1)
    rows = disk.open().table("rows")
    assert (rows.get(key), list(rows.scan())) == (b"", [(key, b"")])


def test_a_key_of_the_wrong_kind_is_refused_by_name(disk: Disk) -> None:
    """And a batch with one puts nothing."""
    store = disk.open()
    with pytest.raises(TypeError, match="table rows takes str keys, not bytes, int"):
        store.table("rows").get_many([b"a", 1])
    with pytest.raises(TypeError, match="table counts takes int keys"):
        store.table("counts").get("1")
    with pytest.raises(TypeError, match="table rows-2 takes bytes keys"):
        store.table("rows-2").put("a", b"")
    with pytest.raises(TypeError):
        store.table("rows").put_many([("a", b"1"), ("b", "not bytes")])
    assert store.dirty == 0


def test_a_table_of_an_older_release_is_left_alone(disk: Disk) -> None:
    """Opening with fewer tables neither fails nor deletes."""
    store = disk.open()
    store.table("counts").put(1, [1])
    commit(store, counts=1)
    fewer = disk.open(tables=TABLES[:1])
    with pytest.raises(KeyError):
        fewer.table("counts")
    assert disk.open().table("counts").get(1) == [1]


def test_table_names_are_checked() -> None:
    """They go into physical keys and topic names."""
    for name in ("", "Rows", "1rows", "a\0b", "a/b", "_x", "rows\n"):
        with pytest.raises(ValueError, match="use a-z"):
            TableSpec(name, TABLES[0].codec)
    with pytest.raises(ValueError, match="key kind"):
        TableSpec("rows", TABLES[0].codec, key="float")  # type: ignore[arg-type] # what is tested


def test_two_tables_of_one_name_are_refused(disk: Disk) -> None:
    """And the disk is free afterwards."""
    with pytest.raises(ValueError, match="same name"):
        disk.open_another(IDENTITY, (TABLES[0], TABLES[0]))
    disk.open()


def test_the_size_grows_with_the_rows(disk: Disk) -> None:
    """An estimate, for metrics."""
    store = disk.open()
    before = store.size_bytes()
    store.table("rows").put_many([(f"k{n}", bytes(1000)) for n in range(1000)])
    commit(store, rows=1)
    assert store.size_bytes() > before


def test_what_a_store_holds_in_memory_is_told_by_what_it_is_for(disk: Disk) -> None:
    """All is counted in bytes; the hot rows as far as their limit goes."""
    store = disk.open()
    before = store.memory_bytes()
    store.table("rows").put_many([(f"k{n}", bytes(1000)) for n in range(1000)])
    commit(store, rows=1)
    after = store.memory_bytes()
    assert before.keys() == after.keys()
    assert all(after[part] >= before[part] for part in after)


def test_an_immutable_value_is_shared_by_all_its_readers_until_it_is_replaced(disk: Disk) -> None:
    """Decoded once, whether it came from a put or from the disk; an abort takes back what was put."""
    tables = [TableSpec("names", StructCodec(tuple[str, ...]), immutable=True)]
    store = disk.open(tables=tables)
    names = store.table("names")
    names.put("a", ("x", "y"))
    first, again = names.get_many(["a", "a"])
    assert first is again == ("x", "y")
    commit(store, names=1)
    names.put("a", ("z",))
    assert names.get("a") == ("z",)
    store.take_changes()
    store.aborted()
    assert names.get("a") == ("x", "y")
    names = disk.open(tables=tables).table("names")
    assert names.get("a") is names.get("a") == ("x", "y")


def test_a_store_at_rest_is_not_busy(disk: Disk) -> None:
    """Or a recovery would wait for ever."""
    store = disk.open()
    store.restore("rows", [(b"%d" % n, bytes(1000)) for n in range(500)], 500)
    commit(store, rows=500)
    assert store.busy() is False
