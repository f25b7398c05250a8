"""Warm copies a process keeps, seen from outside: those given up count as behind no more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agents.metrics import Metrics
from agents.standby import Standbys
from agents.stores import Stores
from state.codecs import RawCodec
from state.settings import StateSettings
from state.table import TableSpec
from streamer.broker import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from state.store import TaskStore

TABLES = (TableSpec("profile", RawCodec()),)


def stores_in(folder: Path) -> Stores:
    return Stores(folder, "user", TABLES, "", StateSettings())


def with_rows(store: TaskStore, count: int) -> TaskStore:
    """As after so many rows of the changelog."""
    for n in range(count):
        store.table("profile").put(f"user-{n}", b"%d" % count)
    store.take_changes()
    store.committed({"profile": count})
    return store


def read_from(store: TaskStore) -> bytes | None:
    found = store.table("profile").get("user-0")
    store.close()
    return found


def lag_of(metrics: Metrics, partition: int) -> float:
    """What ``streamer_standby_lag`` says of a task."""
    name, of_task = "streamer_standby_lag{", f'partition="{partition}"'
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith(name) and of_task in line]
    return float(lines[0].split()[-1])


def test_a_copy_that_is_given_up_or_taken_is_not_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        metrics = Metrics(role="user")
        stores = stores_in(tmp_path)
        # Nobody listens there, so that the copies stand still.
        nobody = {"bootstrap_servers": f"127.0.0.1:{free_port()}"}
        standbys = Standbys(stores, {"profile": "changelog-user-profile"}, nobody, metrics)
        await standbys.keep([1, 2], 4)
        for partition in (1, 2):
            metrics.standby_lag(partition, 500)
        await standbys.keep([2], 4)
        assert (lag_of(metrics, 1), lag_of(metrics, 2)) == (0.0, 500.0)
        (await standbys.take(2, 4)).close()
        assert lag_of(metrics, 2) == 0.0
        (await standbys.take(3, 4)).close()
        await standbys.close()

    asyncio.run(scenario())


def test_a_task_goes_on_from_the_copy_that_a_process_left_here_when_it_ended(tmp_path: Path) -> None:
    """Which has the tail of the changelogs to read, and not all of them."""
    with_rows(stores_in(tmp_path).open_copy(0, 4), 7).close()
    store = asyncio.run(stores_in(tmp_path).open(0, 4))
    assert store.positions() == {"profile": 7}
    assert read_from(store) == b"7"
    assert [path.name for path in tmp_path.iterdir()] == ["0"]


@pytest.mark.parametrize(("own", "copied", "taken"), [(7, 5, b"7"), (5, 7, b"7"), (7, 7, b"7")])
def test_of_a_store_and_a_copy_that_are_both_here_the_one_that_has_read_further_is_taken(
    tmp_path: Path, own: int, copied: int, taken: bytes
) -> None:
    with_rows(asyncio.run(stores_in(tmp_path).open(0, 4)), own).close()
    with_rows(stores_in(tmp_path).open_copy(0, 4), copied).close()
    assert read_from(asyncio.run(stores_in(tmp_path).open(0, 4))) == taken


def test_a_copy_that_another_process_keeps_is_left_to_it(tmp_path: Path) -> None:
    """Another copy that nobody keeps is taken, however old."""
    kept = with_rows(stores_in(tmp_path).open_copy(0, 4), 9)
    with_rows(stores_in(tmp_path).open_copy(0, 4), 3).close()
    assert read_from(asyncio.run(stores_in(tmp_path).open(0, 4))) == b"3"
    assert read_from(kept) == b"9"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "0.copy-0"]


def test_while_an_owner_still_has_the_store_no_copy_takes_its_place(tmp_path: Path) -> None:
    """The owner is about to close, and what it wrote last is newest."""

    async def scenario() -> bytes | None:
        owner = with_rows(await stores_in(tmp_path).open(0, 4), 2)
        with_rows(stores_in(tmp_path).open_copy(0, 4), 9).close()
        opening = asyncio.create_task(stores_in(tmp_path).open(0, 4))
        await asyncio.sleep(0)
        assert not opening.done()
        owner.close()
        return read_from(await opening)

    assert asyncio.run(scenario()) == b"2"


def test_a_copy_of_a_shop_with_another_number_of_tasks_is_no_copy(tmp_path: Path) -> None:
    """It is set aside, as a store would be."""
    with_rows(stores_in(tmp_path).open_copy(0, 8), 9).close()
    store = asyncio.run(stores_in(tmp_path).open(0, 4))
    assert store.positions() == {}
    store.close()
    assert (tmp_path / "0.copy-0.aside-1").exists()
