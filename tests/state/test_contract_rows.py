"""What the tables of every task store promise, whatever lies beneath: rows, keys, values, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.codecs import StructCodec
from state.table import TableSpec
from tests.state.conftest import TABLES, commit

if TYPE_CHECKING:
    from tests.state.conftest import Disk


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


def test_table_names_are_checked() -> None:
    """They go into physical keys and topic names."""
    for name in ("", "Rows", "1rows", "a\0b", "a/b", "_x", "rows\n"):
        with pytest.raises(ValueError, match="use a-z"):
            TableSpec(name, TABLES[0].codec)
    with pytest.raises(ValueError, match="key kind"):
        TableSpec("rows", TABLES[0].codec, key="float")  # type: ignore[arg-type] # what is tested


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
