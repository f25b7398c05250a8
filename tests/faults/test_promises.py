"""Erasure, replay and memory, asked of small evidence made by hand: what is sound passes, what is not is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from tests.faults.evidence import Evidence, Shadow
from tests.faults.plain import Rec, Said, Shopper, Standing
from tests.faults.promises import BASE_RSS, PER_ITEM, PER_USER, check_erasures, check_memory, check_replay
from tests.faults.walk import Breach, Item, Walked

MARK = 1_790_000_000_000
USER = "user-1"


def row(body: object) -> bytes:
    return b"\x01" + msgspec.msgpack.encode(body)


def policy(erased_ms: int) -> bytes:
    return row([[None, 0] * 4 + [0, erased_ms], []])


def of(table: str, offset: int, value: bytes | None, user: str = USER) -> Rec:
    return Rec(f"changelog-user-{table}", 0, offset, MARK, user.encode(), value)


def erased(*rows: Rec) -> list[Breach]:
    topics: dict[str, dict[int, list[Rec]]] = {}
    for rec in rows:
        topics.setdefault(rec.topic, {}).setdefault(0, []).append(rec)
    walked = Walked(shoppers={USER: Shopper(standing=Standing(erased_ms=MARK))}, erased={USER: [MARK]})
    return list(check_erasures(Evidence("", 1, 1, topics), walked))


def test_a_tombstone_and_a_mark_are_what_an_erasure_leaves_and_a_new_life_may_follow():
    gone = [of("profile", 0, row([MARK - 1])), of("profile", 1, None), of("policy", 0, policy(MARK))]
    assert erased(*gone) == []
    assert erased(*gone, of("profile", 2, row([MARK + 1]))) == []


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([of("profile", 0, row([MARK])), of("policy", 0, policy(MARK))], "a profile since"),
        ([of("profile", 0, None)], "lacks the mark"),
        ([of("policy", 0, policy(MARK - 1))], "a policy row with the mark"),
        ([of("policy", 0, policy(MARK)), of("seen", 0, None, "user-2")], "did not ask for it"),
    ],
)
def test_what_outlives_an_erasure_or_is_removed_without_one_is_named(rows: list[Rec], what: str):
    found = erased(*rows)
    assert found
    assert all(breach.invariant == 10 and what in breach.what for breach in found)


def test_a_fingerprint_of_an_event_before_the_erasure_is_named_and_one_after_it_is_not():
    said = {
        at: {
            "id": f"{at}",
            "source": "s",
            "type": "view",
            "subject": USER,
            "time": datetime.fromtimestamp(at / 1000, UTC).isoformat(),
            "data": {"item": "item-1"},
        }
        for at in (MARK - 1000, MARK + 1000)
    }
    input_rows = [
        Rec("browse", 0, n, at, USER.encode(), json.dumps(body).encode()) for n, (at, body) in enumerate(said.items())
    ]
    old, new = (Said(USER, "view", at, f"{at}", "s").fingerprint.to_bytes(8, "little") + bytes(4) for at in said)
    marked = of("policy", 0, policy(MARK))
    assert erased(*input_rows, marked, of("seen", 0, new)) == []
    found = erased(*input_rows, marked, of("seen", 0, old + new))
    assert found
    assert all("1 fingerprints of older events" in breach.what for breach in found)


def replay(shadow: Shadow) -> list[Breach]:
    sent = [Rec("push-candidates", 0, n, MARK, b"user-1", b"%d" % n) for n in (0, 1)]
    topics = {"push-candidates": {0: sent}, "changelog-user-profile": {0: [of("profile", 0, b"row")]}}
    return list(check_replay(Evidence("", 1, 1, topics, shadow=shadow), Walked()))


def test_a_replay_that_gives_the_same_passes_and_one_that_does_not_is_named_where_it_parts():
    sent: list[tuple[bytes | None, bytes | None]] = [(b"user-1", b"0"), (b"user-1", b"1")]
    tables = {0: {"profile": {b"user-1": b"row"}}}
    assert replay(Shadow(tables, {0: sent})) == []
    (breach,) = replay(Shadow({0: {"profile": {b"user-1": b"other"}}}, {0: sent}))
    assert "user-1" in breach.where
    assert [breach.where for breach in replay(Shadow(tables, {0: sent[::-1]}))] == [
        "push-candidates:0, candidate 0",
        "push-candidates:0, candidate 1",
    ]
    (breach,) = replay(Shadow(tables, {0: sent[:1]}))
    assert "2 candidates, 1 in the replay" in breach.what
    (breach,) = replay(Shadow(tables, {0: sent}, ["verify ended with 1: apart"]))
    assert breach.invariant == 11


def test_memory_is_bounded_by_what_there_is_to_remember():
    walked = Walked(shoppers={USER: Shopper()}, items={"item-1": Item()})
    bound = BASE_RSS + PER_USER + PER_ITEM
    assert list(check_memory(Evidence("", 1, 1, {}, rss={"user-0": bound}), walked)) == []
    (breach,) = check_memory(Evidence("", 1, 1, {}, rss={"user-0": bound + 1, "item-0": bound}), walked)
    assert (breach.invariant, breach.where) == (13, "user-0")
