"""The path from a record to a candidate, on real Kafka, with a stock client at both ends."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

import jsonschema
import orjson

from streamer.core.items.rows import read_index_row
from streamer.core.partition import partition_of

if TYPE_CHECKING:
    from tests.e2e.conftest import System


def event(user: str, number: int, item: str, kind: str = "view", *, ago_s: float = 0.0, **data: object) -> bytes:
    when = datetime.fromtimestamp(time.time() - ago_s, UTC).isoformat()
    body = {"items": [{"id": item, "price": 10.0, "category": "shoes", "brand": "acme"}]} | data
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{user}-{number}",
            "source": "test",
            "type": kind,
            "time": when,
            "subject": user,
            "data": body,
        }
    )


def shop(users: int, events: int, name: str = "user") -> list[tuple[str, bytes | None, bytes | None]]:
    """Shoppers who look at a few of forty items, oldest event first."""
    rows: list[tuple[str, bytes | None, bytes | None]] = []
    for n in range(events):
        for u in range(users):
            user = f"{name}-{u}"
            item = f"item-{(u * 7 + n * n) % 40}"
            rows.append(("browse", user.encode(), event(user, n, item, ago_s=(events - n) * 5)))
    return rows


def items_of(rows: list[tuple[str, bytes | None, bytes | None]]) -> set[str]:
    return {orjson.loads(value or b"")["data"]["items"][0]["id"] for _, _, value in rows}


def items_told(records):
    """How many items rows of ``item-index`` are of; those without an id are no items."""
    return len({r.key for r in records if read_index_row(r.value).item})


def warm(system: System) -> int:
    """Let the shop's items become known; how many events that took."""
    rows = shop(users=10, events=12)
    system.send(rows)
    system.drain(len(rows))
    system.until(lambda: items_told(system.read("item-index")) == len(items_of(rows)), 20)
    return len(rows)


def test_every_event_is_accounted_for_and_candidates_come_out_once_explained_and_valid(system: System) -> None:
    known = warm(system)
    rows = shop(users=30, events=12, name="shopper")
    system.send(rows)
    counts = system.drain(known + len(rows))
    assert counts["applied"] == known + len(rows)

    candidates = [orjson.loads(r.value) for r in system.read("push-candidates")]
    decisions = [orjson.loads(r.value) for r in system.read("decisions")]
    assert candidates, Counter(d["r"] for d in decisions)
    assert Counter(d["r"] for d in decisions)["sent"] == len(candidates)
    assert len({c["candidate_id"] for c in candidates}) == len(candidates)
    promised = orjson.loads(files("streamer.schemas").joinpath("candidate.schema.json").read_bytes())
    for record in system.read("push-candidates"):
        candidate = orjson.loads(record.value)
        jsonschema.validate(candidate, promised)
        assert record.key == candidate["user_id"].encode()
        assert record.partition == partition_of(candidate["user_id"], 4)
        assert candidate["reasons"]
        assert dict(record.headers)["produced_at"].isdigit()


def test_the_loops_close_item_index_and_model_are_published(system: System) -> None:
    known = warm(system)
    rows = shop(users=60, events=25)
    system.send(rows)
    system.drain(known + len(rows))
    system.until(lambda: any(r.key and r.key.startswith(b"champion/") for r in system.read("model")), 20)


def test_a_bad_record_is_a_dead_letter_with_its_origin_and_harms_nothing_else(system: System) -> None:
    good = shop(users=5, events=3)
    bad: list[tuple[str, bytes | None, bytes | None]] = [
        ("browse", b"user-0", b"\xff\xfe not json"),
        ("browse", b"user-1", b""),
        ("search", b"user-2", b'{"specversion":"1.0"}'),
        ("browse", b"user-3", event("user-3", 99, "item-1", kind="teleport")),
        ("purchase", b"user-4", event("user-4", 98, "item-1", kind="purchase", ago_s=-3600)),
        ("browse", b"user-4", event("user-4", 97, "x" * 2_000_000)),
    ]
    system.send([*good[:7], *bad, *good[7:]])
    counts = system.drain(len(good) + len(bad))
    assert (counts["applied"], counts["dead_letter"]) == (len(good), len(bad))
    letters = system.read("dead-letters")
    headers = [dict(letter.headers) for letter in letters]
    assert {h["dl_reason"] for h in headers} == {
        b"not_json", b"empty", b"missing_field", b"unknown_type", b"future_time", b"too_large"
    }  # fmt: skip
    assert {h["dl_topic"] for h in headers} == {b"browse", b"search", b"purchase"}
    assert max(len(letter.value or b"") for letter in letters) <= 64 * 1024


def test_a_record_under_the_wrong_key_or_partition_is_rekeyed_and_then_applied(system: System) -> None:
    rows = [("browse", b"somebody else", event("user-1", 1, "item-1")), ("browse", None, event("user-2", 1, "item-2"))]
    system.send(rows, partition=(partition_of("user-1", 4) + 1) % 4)
    counts = system.drain(len(rows))
    assert counts["applied"] == len(rows)
    assert counts["rekeyed"] >= 1
    for record in system.read("ingress"):
        assert record.partition == partition_of(record.key.decode(), 4)


def test_an_event_sent_twice_is_applied_once(system: System) -> None:
    rows = shop(users=3, events=2)
    system.send(rows + rows)
    counts = system.drain(2 * len(rows))
    assert (counts["applied"], counts["duplicate"]) == (len(rows), len(rows))


def test_who_withdrew_consent_gets_no_push(system: System) -> None:
    refusal = orjson.dumps(
        {
            "specversion": "1.0", "id": "p1", "source": "test", "type": "preferences", "subject": "shopper-0",
            "time": datetime.fromtimestamp(time.time() - 3600, UTC).isoformat(),
            "data": {"preferences": {"consent": False}},
        }
    )  # fmt: skip
    known = warm(system)
    system.send([("preferences", b"shopper-0", refusal)])
    system.drain(known + 1)
    rows = shop(users=20, events=10, name="shopper")
    system.send(rows)
    system.drain(known + 1 + len(rows))
    pushed = {r.key for r in system.read("push-candidates")}
    assert b"shopper-1" in pushed
    assert b"shopper-0" not in pushed
