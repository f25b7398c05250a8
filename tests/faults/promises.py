"""The invariants on what is forgotten, what a replay gives, and what memory a worker takes; part of the checker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.faults import load, plain, state
from tests.faults.plain import Said
from tests.faults.walk import INPUTS, Breach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.walk import Walked

PERSONAL: Final = ("profile", "seen", "policy")
#: Bytes of a worker process with nothing to remember: interpreter, libraries, RocksDB's caches, batches under way.
BASE_RSS: Final = 256 << 20
PER_USER: Final = 2 << 10
PER_ITEM: Final = 2 << 10
#: In a key of table ``watch``, where the shopper begins: behind the item in hexadecimal digits and a slash.
WATCH_USER: Final = 17


def check_erasures(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """10: nothing from before an erasure is in a compacted topic or a table; no other's rows were removed."""
    marks = {user: shopper.standing.erased_ms for user, shopper in walked.shoppers.items() if shopper.standing}
    marks = {user: mark for user, mark in marks.items() if mark}
    forgotten = _forgotten(evidence, marks)
    for partition in range(evidence.partitions):
        for table in PERSONAL:
            topic = f"changelog-user-{table}"
            for rec in evidence.records(topic, partition):
                if rec.value is None and (rec.key or b"").decode() not in walked.erased:
                    yield Breach(10, rec.place, f"removes the row of {rec.key!r}, who did not ask for it")
            for where, rows in (
                (f"{topic}:{partition}", evidence.last_rows(topic, partition)),
                (f"user-{partition} table {table}", evidence.table("user", partition, table)),
            ):
                for user, mark in marks.items():
                    if user.encode() in rows and (what := _kept(table, rows[user.encode()], mark, forgotten[user])):
                        yield Breach(10, f"{where} key {user}", f"{what}, erased up to {mark}")
        for where, rows in (
            (f"changelog-user-watch:{partition}", evidence.last_rows("changelog-user-watch", partition)),
            (f"user-{partition} table watch", evidence.table("user", partition, "watch")),
        ):
            for key, value in rows.items():
                user = key.decode()[WATCH_USER:]
                if (time_ms := state.row(value)[0]) <= marks.get(user, -1):
                    yield Breach(10, f"{where} key {key!r}", f"of {time_ms}, erased up to {marks[user]}")
        policies = evidence.last_rows("changelog-user-policy", partition)
        for user, mark in marks.items():
            if load.partition_of(user.encode(), evidence.partitions) == partition and user.encode() not in policies:
                yield Breach(10, f"changelog-user-policy:{partition} key {user}", f"lacks the mark of {mark}")


def _forgotten(evidence: Evidence, marks: dict[str, int]) -> dict[str, set[int]]:
    """By erased user, the fingerprints of the input up to the mark, the request to be erased left out with it; but not
    of a no, which is heard whenever it is read.
    """
    found: dict[str, set[int]] = {user: set() for user in marks}
    for topic in INPUTS:
        for rec in evidence.all(topic):
            said = plain.read(rec)
            if not isinstance(said, Said) or said.type == "tombstone" or plain.says_no(said):
                continue
            if said.time <= marks.get(said.user, -1):
                found[said.user].add(said.fingerprint)
    return found


def _kept(table: str, value: bytes, mark: int, forgotten: set[int]) -> str:
    """What a row knows of the time up to the mark; nothing if nothing."""
    if table == "profile":
        first_ms: int = state.row(value, 1, 2, 3, 4)[0]
        return f"a profile since {first_ms}" if first_ms <= mark else ""
    if table == "seen":
        marks = {int.from_bytes(value[at : at + 8], "little") for at in range(0, len(value), state.SEEN_BYTES)}
        return f"{len(marks & forgotten)} fingerprints of older events" if marks & forgotten else ""
    standing = state.row(value)[0]
    erased_ms: Any = dict(zip(_policy_fields(), standing, strict=False))["erased_ms"]
    return "" if erased_ms == mark else f"a policy row with the mark {erased_ms}"


def _policy_fields() -> list[str]:
    return [*(name for word in plain.WORDS for name in (word, f"{word}_ms")), "unsubscribed_ms", "erased_ms"]


def check_replay(evidence: Evidence, _: Walked) -> Iterator[Breach]:
    """11: a replay of the whole round gave the tables and candidates of the live run, byte for byte, and said so."""
    shadow = evidence.shadow
    if shadow is None:
        return
    for what in shadow.failures:
        yield Breach(11, "streamer replay", what)
    for partition in range(evidence.partitions):
        replayed = shadow.tables.get(partition, {})
        for table in (*PERSONAL, "pending", "due", "slates", "watch"):
            live, again = evidence.last_rows(f"changelog-user-{table}", partition), replayed.get(table, {})
            for key in sorted(live.keys() | again.keys()):
                if live.get(key) != again.get(key):
                    yield Breach(11, f"user-{partition} table {table} key {key!r}", "another row than in the replay")
        sent = [(rec.key, rec.value) for rec in evidence.records("push-candidates", partition)]
        resent = shadow.candidates.get(partition, [])
        for at, (live_one, again_one) in enumerate(zip(sent, resent, strict=False)):
            if live_one != again_one:
                yield Breach(11, f"push-candidates:{partition}, candidate {at}", "another candidate than in the replay")
        if len(sent) != len(resent):
            yield Breach(11, f"push-candidates:{partition}", f"{len(sent)} candidates, {len(resent)} in the replay")


def check_memory(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """13: a worker held at most a base, 2 KiB for each active user and 2 KiB for each item."""
    bound = BASE_RSS + PER_USER * len(walked.shoppers) + PER_ITEM * len(walked.items)
    for name, most in sorted(evidence.rss.items()):
        if most > bound:
            yield Breach(13, name, f"held {most >> 20} MiB, of {bound >> 20} MiB allowed")
