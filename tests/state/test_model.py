"""Random histories of a store against three plain dicts."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from state.store import digest_rows
from tests.examples import examples
from tests.state.conftest import Disk

# Few, so that histories meet; near each other in byte order, also over the border of the two tables.
KEYS = ["", "\0", "a", "a\0", "aa", "b", "ÿ", "\U0010ffff"]
NAMES = ["rows", "rows-2"]
keys = st.sampled_from(KEYS)
names = st.sampled_from(NAMES)
values = st.one_of(st.binary(max_size=4), st.integers(0, 255).map(lambda byte: bytes((byte,)) * 700))
Rows = dict[tuple[str, str], bytes | None]


class StoreHistory(RuleBasedStateMachine):
    """``committed``, ``taken`` and ``dirty`` are what the rules of ``state/store.py`` say each generation holds."""

    kind: str
    hot_rows_bytes: int

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="state-model-"))
        self.disk = Disk(self.kind, self.folder / "task", self.hot_rows_bytes)
        self.store = self.disk.open()
        self.committed: Rows = {}
        self.taken: Rows = {}
        self.dirty: Rows = {}
        self.in_flight = False
        self.position = 0
        self.positions: dict[str, int] = {}
        self.meta: bytes | None = None

    def teardown(self) -> None:
        self.disk.close()
        shutil.rmtree(self.folder)

    def key(self, name: str, key: str) -> Any:
        return key.encode() if name == "rows-2" else key

    def apply(self, rows: Rows) -> None:
        self.committed = {at: row for at, row in (self.committed | rows).items() if row is not None}

    def seen(self) -> Rows:
        return self.committed | self.taken | self.dirty

    @rule(name=names, key=keys, value=values)
    def put(self, name: str, key: str, value: bytes) -> None:
        self.store.table(name).put(self.key(name, key), value)
        self.dirty[name, key] = value

    @rule(name=names, rows=st.lists(st.tuples(keys, values), max_size=6))
    def put_many(self, name: str, rows: list[tuple[str, bytes]]) -> None:
        self.store.table(name).put_many([(self.key(name, key), value) for key, value in rows])
        self.dirty.update({(name, key): value for key, value in rows})

    @rule(name=names, key=keys)
    def delete(self, name: str, key: str) -> None:
        self.store.table(name).delete(self.key(name, key))
        self.dirty[name, key] = None

    @rule(name=names, some=st.lists(keys, max_size=12))
    def get_many(self, name: str, some: list[str]) -> None:
        seen = self.seen()
        got = self.store.table(name).get_many([self.key(name, key) for key in some])
        assert got == [seen.get((name, key)) for key in some]

    @rule(name=names, start=keys, end=keys, limit=st.integers(0, len(KEYS)))
    def range(self, name: str, start: str, end: str, limit: int) -> None:
        rows = {key.encode(): row for (table, key), row in self.seen().items() if table == name}
        between = [key for key in sorted(rows) if start.encode() <= key < end.encode()]
        got = self.store.table(name).range(self.key(name, start), self.key(name, end), limit)
        assert (
            got
            == [(key if name == "rows-2" else key.decode(), rows[key]) for key in between if rows[key] is not None][
                :limit
            ]
        )

    @precondition(lambda self: not self.in_flight)
    @rule()
    def take(self) -> None:
        changes = self.store.take_changes()
        assert {(name, key.decode()): row for name, key, row in changes} == self.dirty
        assert len(changes) == len(self.dirty)
        self.taken, self.dirty, self.in_flight = self.dirty, {}, True

    @rule(step=st.integers(0, 3), meta=st.none() | st.binary(max_size=3))
    def commit(self, step: int, meta: bytes | None) -> None:
        self.position += step
        self.store.committed({"log": self.position}, fresh_ms=self.position, meta={"m": meta})
        self.apply(self.taken)
        self.positions["log"] = self.position
        self.taken, self.in_flight, self.meta = {}, False, meta

    @rule()
    def abort(self) -> None:
        self.store.aborted()
        self.taken, self.dirty, self.in_flight = {}, {}, False

    @precondition(lambda self: not (self.in_flight or self.dirty))
    @rule(name=names, rows=st.lists(st.tuples(keys, st.none() | values), max_size=8))
    def restore(self, name: str, rows: list[tuple[str, bytes | None]]) -> None:
        self.position += len(rows)
        self.store.restore(name, [(key.encode(), row) for key, row in rows], self.position, changelog="log")
        self.apply({(name, key): row for key, row in rows})
        self.positions["log"] = self.position

    @rule()
    def reopen(self) -> None:
        self.store = self.disk.open()
        self.taken, self.dirty, self.in_flight = {}, {}, False

    @rule()
    def wipe(self) -> None:
        self.store.wipe()
        self.committed, self.taken, self.dirty, self.in_flight = {}, {}, {}, False
        self.position, self.positions, self.meta = 0, {}, None

    @invariant()
    def disk_holds_what_was_committed_and_no_more(self) -> None:
        rows = sorted((name, key.encode(), row) for (name, key), row in self.committed.items() if row is not None)
        assert list(self.store.committed_rows()) == rows
        assert self.store.digest() == digest_rows(rows)
        assert (self.store.positions(), self.store.meta("m")) == (self.positions, self.meta)

    @invariant()
    def reads_and_scans_see_every_generation(self) -> None:
        seen = self.seen()
        for name in NAMES:
            # All keys at every step, so that the hot rows of every step before could be stale at this one.
            got = self.store.table(name).get_many([self.key(name, key) for key in KEYS])
            assert got == [seen.get((name, key)) for key in KEYS]
            rows = sorted(
                (key.encode(), row) for (table, key), row in seen.items() if table == name and row is not None
            )
            assert list(self.store.table(name).scan_rows()) == rows
        assert (self.store.dirty, self.store.in_flight) == (len(self.dirty), self.in_flight)


class MemoryHistory(StoreHistory):
    kind = "memory"
    hot_rows_bytes = 0


class RocksHistory(StoreHistory):
    kind = "rocks"
    hot_rows_bytes = 0


class RocksWithHotRowsHistory(StoreHistory):
    kind = "rocks"
    # Room for a few rows in each half, so that both halves turn over in a history.
    hot_rows_bytes = 2500


TestMemoryHistory = MemoryHistory.TestCase
TestMemoryHistory.settings = settings(max_examples=examples(60), stateful_step_count=40)
TestRocksHistory = RocksHistory.TestCase
TestRocksWithHotRowsHistory = RocksWithHotRowsHistory.TestCase
# Each example opens directories on a disk whose speed is not what is tested.
TestRocksHistory.settings = TestRocksWithHotRowsHistory.settings = settings(
    max_examples=examples(20), stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
