"""The harness's own parts: a load that a seed determines, an oracle that reads as the engine does, a silent proxy."""

from __future__ import annotations

import socket
import threading
from collections import Counter

from streamer.broker import free_port
from streamer.core.events import Event
from streamer.core.index import ItemIndex
from streamer.core.intake import Reset
from streamer.core.parse import Limits, parse
from streamer.core.partition import partition_of as engine_partition_of
from streamer.core.policy.candidate import candidate_id
from streamer.core.profile import price_cents
from streamer.core.record import Record
from tests.faults import plain
from tests.faults.kinds import FAULTS
from tests.faults.load import Load, Sending, partition_of
from tests.faults.news import CATALOG, Catalog
from tests.faults.of_broker import POISON
from tests.faults.proxy import Proxy
from tests.faults.rounds import chosen

NOW_MS = 1_790_000_000_000


def records(seed: int, count: int) -> list[Sending]:
    return Load(seed, from_ms=NOW_MS, step_ms=1000, partitions=4).take(count)


def test_a_seed_determines_every_record_and_the_faults_of_a_round():
    assert records(7, 2000) == records(7, 2000)
    assert records(7, 2000) != records(8, 2000)
    assert chosen(7, 20) == chosen(7, 20)


def test_what_rules_out_a_rebuild_comes_last_in_a_round():
    drawn = chosen(3, 400)
    assert {fault.name for fault in drawn} == {fault.name for fault in FAULTS}
    assert [fault.last for fault in drawn] == sorted(fault.last for fault in drawn)


def test_the_oracle_reads_each_record_of_a_load_as_the_engine_does():
    reasons: Counter[str] = Counter()
    load = Load(1, from_ms=NOW_MS, step_ms=100, partitions=4)
    for offset, row in enumerate([*load.take(8000), *load.giants()]):
        if row.topic == "catalog":
            continue
        rec = plain.Rec(row.topic, 0, offset, NOW_MS + 1_000_000, row.key, row.value)
        ours = plain.read(rec)
        if isinstance(ours, plain.Said) and ours.type == "tombstone":
            continue  # not the parser's business
        theirs = parse(Record(rec.topic, 0, offset, rec.timestamp, rec.key, rec.value), Limits())
        if isinstance(ours, str):
            assert not isinstance(theirs, (Event, Reset)), row
            assert ours == theirs.reason, row
            reasons[ours] += 1
        else:
            assert isinstance(theirs, Event), row
            assert (ours.user, ours.type, ours.time, ours.id) == (theirs.user, theirs.type, theirs.time, theirs.id)
            assert ours.items == tuple(line.item for line in theirs.lines)
            assert [plain.item_key(item) for item in ours.items] == [line.key for line in theirs.lines]
            assert list(ours.cents) == [price_cents(line.price) for line in theirs.lines]
            assert ours.fingerprint == theirs.fingerprint
            assert plain.candidate_id(ours.user, ours.source, ours.id, "next") == candidate_id(
                theirs.user, theirs.source, theirs.id, "next"
            )
            assert partition_of(ours.user.encode(), 4) == engine_partition_of(ours.user, 4)
            reasons["event"] += 1
    assert len(reasons) >= 11
    assert reasons["event"] > 7000


def test_the_oracle_reads_the_catalog_of_a_load_and_of_a_poisoner_as_the_engine_does():
    rows = [row for row in records(1, 8000) if row.topic == CATALOG]
    rows += [Sending(CATALOG, key, bad) for bad in POISON for key in (b"", b"\xff\xfe", b"item-1")]
    index = ItemIndex(keep_changes=True)
    recs = [plain.Rec(CATALOG, 0, offset, NOW_MS, row.key, row.value) for offset, row in enumerate(rows)]
    catalog = Catalog(recs)
    for rec in recs:
        index.changes.at(rec.offset)
        index.apply_catalog((rec.key or b"").decode(errors="replace"), rec.value)
        index.changes.at(rec.offset + 1)
        theirs = index.entry(index.dense(plain.item_key(item := (rec.key or b"").decode(errors="replace"))))
        ours = catalog.entry(item, rec.offset + 1)
        assert (ours is None) == (theirs is None), rec
        if ours is not None and theirs is not None:
            assert ours == (theirs.price_cents, theirs.in_stock)
    for since in (0, len(rows) // 2):
        told = {(change.offset, change.key, change.kind) for change in index.changes.since(since)}
        assert told == {
            (offset, plain.item_key(item), kind)
            for offset, item, kinds in catalog.since(since, len(rows))
            for kind in kinds
        }
        assert {kind for _, _, kind in told} == {"cheaper", "back"}
    assert catalog.newest(len(rows)) == index.changes.newest


def test_a_cut_proxy_passes_nothing_and_closes_nothing_and_delivers_late_what_was_sent():
    port = free_port()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Proxy(port, server.getsockname()[1]) as proxy,
        socket.create_connection(("127.0.0.1", port), timeout=20) as near,
    ):
        far, _ = server.accept()
        far.settimeout(20)
        near.sendall(b"before")
        assert far.recv(100) == b"before"
        proxy.cut()
        near.sendall(b"meanwhile")
        got: list[bytes] = []
        listener = threading.Thread(target=lambda: got.append(far.recv(100)))
        listener.start()
        listener.join(0.3)
        assert got == []
        proxy.heal()
        listener.join(20)
        assert got == [b"meanwhile"]
        far.close()
        assert near.recv(100) == b""
