"""State directories of earlier releases are upgraded in place and hold the same rows; later ones are left alone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from state import rocks
from state.errors import StateVersionError
from state.settings import StateSettings
from state.store import FORMAT_VERSION, digest_rows
from tests.state import golden_state
from tests.state.conftest import IDENTITY, TABLES
from tests.state.golden_state import GOLDEN

if TYPE_CHECKING:
    from pathlib import Path

    from state.store import TaskStore

FORMATS = range(1, FORMAT_VERSION + 1)


def format_of(store: TaskStore) -> bytes | None:
    """As the directory says."""
    return store._backend.read([b"\0format"])[0]


@pytest.fixture(params=FORMATS)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A directory as a release with that format left it, to be changed at will."""
    path = tmp_path / "task"
    shutil.copytree(GOLDEN / f"format-{request.param}", path)
    return path


def test_there_is_a_golden_directory_of_every_format_and_each_is_small() -> None:
    """Raising the format takes one: written by the release before, see ``golden_state``."""
    assert sorted(path.name for path in GOLDEN.iterdir()) == [f"format-{number}" for number in FORMATS]
    assert sum(file.stat().st_size for file in GOLDEN.rglob("*")) < 200_000


def test_a_directory_of_any_format_opens_with_the_same_rows(golden: Path) -> None:
    """Rows, positions and meta, the log's included; and it has the format of today from then on."""
    for _ in range(2):
        store = rocks.open_store(golden, TABLES, IDENTITY)
        assert list(store.committed_rows()) == golden_state.rows()
        assert store.digest() == digest_rows(golden_state.rows())
        assert (store.positions(), store.fresh_ms()) == (golden_state.POSITIONS, golden_state.FRESH_MS)
        assert store.meta("note") == b"%d" % golden_state.COMMITS
        assert format_of(store) == b"%d" % FORMAT_VERSION
        store.close()


def test_what_is_written_after_an_upgrade_is_there_with_the_rest(golden: Path) -> None:
    """Puts, deletions and positions, after another open."""
    store = rocks.open_store(golden, TABLES, IDENTITY)
    store.table("rows").put("new", b"row")
    store.table("rows-2").delete(b"\0\xff")
    store.take_changes()
    store.committed({"changelog-rows": 10_000})
    store.close()
    store = rocks.open_store(golden, TABLES, IDENTITY)
    kept = [row for row in golden_state.rows() if row[0] != "rows-2"]
    assert list(store.committed_rows()) == sorted([*kept, ("rows", b"new", b"row")])
    assert store.positions() == golden_state.POSITIONS | {"changelog-rows": 10_000}
    store.close()


def test_a_directory_of_this_release_is_what_its_golden_one_is(tmp_path: Path) -> None:
    """Or the golden one is of something else."""
    golden_state.write(tmp_path / "task").close()
    store = rocks.open_store(tmp_path / "task", TABLES, IDENTITY)
    assert list(store.committed_rows()) == golden_state.rows()
    assert store.positions() == golden_state.POSITIONS
    store.close()


def test_a_directory_of_a_later_release_is_refused_and_left_as_it_is(golden: Path) -> None:
    """A release that goes back says what to do, and the newer one still finds its state."""
    store = rocks.open_store(golden, TABLES, IDENTITY)
    store._backend.write([(b"\0format", b"%d" % (FORMAT_VERSION + 1))], logged=True)
    store.close()
    with pytest.raises(StateVersionError, match="set the directory aside to rebuild"):
        rocks.open_store(golden, TABLES, IDENTITY)
    backend = rocks.RocksBackend(golden, StateSettings(), rocks.RocksMemory(StateSettings()))
    assert backend.read([b"\0format", b"rows-2\0\0\xff"]) == [b"%d" % (FORMAT_VERSION + 1), b"once"]
    backend.close()
