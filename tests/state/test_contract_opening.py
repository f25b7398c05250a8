"""Whom every task store opens to, whatever lies beneath: its own task, one at a time, in a format that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.errors import StateCorrupt, StateError, StateForeign, StateLocked, StateVersionError
from state.store import TaskIdentity
from tests.state.conftest import IDENTITY, TABLES, commit

if TYPE_CHECKING:
    from tests.state.conftest import Disk


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


def test_a_table_of_an_older_release_is_left_alone(disk: Disk) -> None:
    """Opening with fewer tables neither fails nor deletes."""
    store = disk.open()
    store.table("counts").put(1, [1])
    commit(store, counts=1)
    fewer = disk.open(tables=TABLES[:1])
    with pytest.raises(KeyError):
        fewer.table("counts")
    assert disk.open().table("counts").get(1) == [1]


def test_two_tables_of_one_name_are_refused(disk: Disk) -> None:
    """And the disk is free afterwards."""
    with pytest.raises(ValueError, match="same name"):
        disk.open_another(IDENTITY, (TABLES[0], TABLES[0]))
    disk.open()
