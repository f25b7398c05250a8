"""What every task store promises of being rebuilt, whatever lies beneath: the changelog's rows, and their digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.errors import StateError, StateForeign
from state.store import TaskIdentity, digest_rows
from tests.state.conftest import commit

if TYPE_CHECKING:
    from tests.state.conftest import Disk


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


def test_a_store_at_rest_is_not_busy(disk: Disk) -> None:
    """Or a recovery would wait for ever."""
    store = disk.open()
    store.restore("rows", [(b"%d" % n, bytes(1000)) for n in range(500)], 500)
    commit(store, rows=500)
    assert store.busy() is False
