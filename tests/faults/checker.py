"""Holds what a run left behind to the invariants of the design, and names the first record that breaks one.

It shares no code with the engine. Each ``check_…`` is one invariant; ``CHECKS`` has them by their numbers in the
design. The records of the internal topics that a test poisoned are told apart by not being readable at all.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.faults import plain, responses, spending, state, watched
from tests.faults.load import DAY_MS, MINUTE_MS
from tests.faults.news import CATALOG
from tests.faults.plain import HOUR_MS
from tests.faults.promises import check_erasures, check_memory, check_replay
from tests.faults.walk import INPUTS, Breach, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec
    from tests.faults.walk import Walked

#: Inputs and tables of each role.
ROLES: Final = {
    "user": (INPUTS, ("profile", "seen", "policy", "pending", "due", "slates", "watch", "tasks")),
    "item": (("item-updates",), ("items", "tasks")),
    "trainer": (("examples",), ("model_state", "tasks")),
}


def check(evidence: Evidence) -> list[Breach]:
    """All breaches, in the order of the invariants; empty if all hold."""
    walked = walk(evidence)
    found = [breach for checked in CHECKS.values() for breach in checked(evidence, walked)]
    return sorted(found, key=lambda breach: breach.invariant)


def first_breaches(invariant: int, evidence: Evidence, walked: Walked | None = None) -> list[Breach]:
    """Breaches of one invariant, by the first check that finds any: its own is asked before the others. ``walked``: if
    that was done already.
    """
    walked = walked or walk(evidence)
    for number in sorted(CHECKS, key=lambda number: (number != invariant, number)):
        if found := [each for each in CHECKS[number](evidence, walked) if each.invariant == invariant]:
            return found
    return []


def check_folds(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """1: profile, policy, fingerprints and item counts are a plain fold of the input in journal order."""
    yield from (breach for breach in walked.breaches if breach.invariant == 1)
    for partition in range(evidence.partitions):
        yield from state.shoppers(evidence, walked, partition)
        yield from state.due(evidence, walked, partition)
        yield from spending.rows(evidence, walked, partition)
        yield from watched.rows(evidence, walked, partition)
        yield from responses.rows(evidence, walked, partition)
    yield from state.items(evidence, walked)


def check_tables(evidence: Evidence, _: Walked) -> Iterator[Breach]:
    """2: a local store is its changelogs up to the positions it states, and some store is all of them."""
    for store in evidence.stores:
        for table in ROLES[store.role][1] if not store.damage else ():
            topic = f"changelog-{store.role}-{table}"
            told = evidence.last_rows(topic, store.partition, store.positions.get(evidence.prefix + topic, 0))
            yield from _differing(store.tables.get(table, {}), told, f"{store.name} table {table}")
    for role, (_inputs, tables) in ROLES.items():
        for partition in range(tasks_of(role, evidence)):
            newest = evidence.newest(role, partition)
            for table in tables:
                topic = f"changelog-{role}-{table}"
                records = evidence.records(topic, partition)
                reached = newest.positions.get(evidence.prefix + topic, 0) if newest is not None else 0
                if records and reached <= records[-1].offset:
                    yield Breach(2, records[-1].place, f"no store has it; the furthest stands at {reached}")


def _differing(rows: dict[bytes, bytes], told: dict[bytes, bytes], what: str) -> Iterator[Breach]:
    for key in sorted(rows.keys() | told.keys()):
        if rows.get(key) != told.get(key):
            how = "is not in the changelog" if key not in told else "lacks" if key not in rows else "differs"
            yield Breach(2, f"{what} key {key!r}", f"the store's row {how}" if how != "lacks" else "the store lacks it")


def tasks_of(role: str, evidence: Evidence) -> int:
    """How many tasks a role has."""
    return {"user": evidence.partitions, "item": evidence.item_partitions, "trainer": 1}[role]


def check_fates(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """3: every record ends in one of applied, duplicate, late, re-keyed, dead letter; the sums agree."""
    yield from (breach for breach in walked.breaches if breach.invariant == 3)
    for topic in INPUTS:
        for rec in evidence.all(topic):
            if rec.place not in walked.fates:
                yield Breach(3, rec.place, "ended nowhere")
    letters = [_letter(rec) for rec in evidence.all("dead-letters")]
    yield from _once(Counter(letters), Counter(walked.letters.items()), "dead letter", 3)
    hops = [(header(rec, "rekeyed_from"), rec) for rec in evidence.all("ingress")]
    rekeyed = Counter(place for place, fate in walked.fates.items() if fate == "rekeyed")
    yield from _once(Counter(origin for origin, _ in hops if origin), rekeyed, "re-keyed record", 3)


def _letter(rec: Rec) -> tuple[str, str]:
    place = ":".join(header(rec, f"dl_{part}") for part in ("topic", "partition", "offset"))
    return place, header(rec, "dl_reason")


def header(rec: Rec, name: str) -> str:
    """The last header of that name, empty if there is none."""
    return next((value.decode() for key, value in reversed(rec.headers) if key == name), "")


def _once(found: Counter[Any], expected: Counter[Any], what: str, invariant: int) -> Iterator[Breach]:
    for each in sorted(found.keys() | expected.keys(), key=str):
        if found[each] != expected[each]:
            yield Breach(invariant, str(each), f"{found[each]} times as a {what}, {expected[each]} times due")


def check_candidates(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """4: each ``candidate_id`` once, and they are those that decisions say were sent; one response to each in time."""
    yield from (breach for breach in walked.breaches if breach.invariant == 4)
    candidates = Counter(body["candidate_id"] for _, body in bodies(evidence, "push-candidates"))
    sent = Counter(body.get("d") for _, body in bodies(evidence, "decisions") if body.get("r") == "sent")
    seen: set[str] = set()
    for rec, body in bodies(evidence, "push-candidates"):
        if body["candidate_id"] in seen:
            yield Breach(4, rec.place, f"candidate {body['candidate_id']} once more")
        seen.add(body["candidate_id"])
    yield from _once(candidates, sent, "candidate", 4)
    yield from responses.told(evidence, walked)


def bodies(evidence: Evidence, topic: str) -> Iterator[tuple[Rec, dict[str, Any]]]:
    """The records of a topic of JSON objects, read."""
    for rec in evidence.all(topic):
        yield rec, json.loads(rec.value or b"{}")


def check_triggers(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """5: nothing follows from an event that was not there or was not applied."""
    yield from (breach for breach in walked.breaches if breach.invariant == 5)
    for rec, body in bodies(evidence, "push-candidates"):
        trigger = body["trigger"]
        place = f"{trigger['topic']}:{trigger['partition']}:{trigger['offset']}"
        if trigger["topic"] == CATALOG:
            known = (body["campaign"], body["user_id"], trigger["event_id"]) in walked.news
            if not known or trigger["event_id"].rpartition("@")[2] != str(trigger["offset"]):
                yield Breach(5, rec.place, f"triggered by {place}, of which nobody was to tell {body['user_id']}")
            continue
        said = walked.applied.get(place)
        if said is None:
            yield Breach(5, rec.place, f"triggered by {place}, which is {walked.fates.get(place, 'not there')}")
        elif (said.user, said.id, said.type) != (body["user_id"], trigger["event_id"], trigger["type"]):
            yield Breach(5, rec.place, f"tells of {trigger} by {body['user_id']}, the record at {place} of {said}")
    seen: set[int] = set()
    for rec in evidence.all("examples"):
        example = state.example(rec)
        if example is None:
            continue
        if example[1] not in walked.fingerprints:
            yield Breach(5, rec.place, "an example of an event that was never applied")
        if example[1] in seen:
            yield Breach(4, rec.place, "an example of its event once more")
        seen.add(example[1])


def check_policy(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """6: caps and gap in any window, budgets, and the rules that the walk asked at each decision."""
    yield from (breach for breach in walked.breaches if breach.invariant == 6)
    yield from spending.budgets(evidence)
    times: dict[str, list[tuple[int, Rec]]] = {}
    for rec, body in bodies(evidence, "push-candidates"):
        times.setdefault(body["user_id"], []).append((plain.milliseconds(body["decided_at"]), rec))
        if not body["decided_at"] < body["expires_at"]:
            yield Breach(6, rec.place, f"expires at {body['expires_at']}, decided at {body['decided_at']}")
    for user, pushes in times.items():
        pushes.sort(key=lambda push: push[0])
        for place, (at, rec) in enumerate(pushes):
            forgotten = max((then for then in walked.erased.get(user, ()) if then <= at), default=-1)
            before = [earlier for earlier, _ in pushes[:place] if earlier > forgotten]
            if before and at - before[-1] < 30 * MINUTE_MS:
                yield Breach(6, rec.place, f"{user} had a push {at - before[-1]} ms before")
            for most, window in ((1, HOUR_MS), (4, DAY_MS)):
                if (had := sum(earlier > at - window for earlier in before)) >= most:
                    yield Breach(6, rec.place, f"{user} had {had} pushes in {window} ms before, of {most} allowed")


def check_positions(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """7: applied positions never go back or skip; at the end committed = applied = all there is."""
    yield from (breach for breach in walked.breaches if breach.invariant == 7)
    for role, (inputs, _) in ROLES.items():
        for partition in range(tasks_of(role, evidence)):
            yield from _task_rows(evidence, role, partition)
            applied = state.positions(evidence, role, partition)
            for topic in inputs:
                records = evidence.records(topic, partition)
                due = records[-1].offset + 1 if records else 0
                if applied.get(topic, 0) != due:
                    yield Breach(7, f"{topic}:{partition}", f"{role} applied up to {applied.get(topic, 0)} of {due}")
                committed = evidence.offsets.get((role, topic, partition), 0)
                if committed != applied.get(topic, 0):
                    yield Breach(7, f"{topic}:{partition}", f"group at {committed}, {role} at {applied.get(topic, 0)}")
                if role == "user" and walked.positions[topic, partition] != due:
                    yield Breach(7, f"{topic}:{partition}", f"journaled up to {walked.positions[topic, partition]}")


def _task_rows(evidence: Evidence, role: str, partition: int) -> Iterator[Breach]:
    last: dict[str, int] = {}
    for rec in evidence.records(f"changelog-{role}-tasks", partition):
        row = state.task_row(rec.value)
        for topic, offset in row["positions"].items():
            if offset < last.get(topic, 0):
                yield Breach(7, rec.place, f"{topic} goes back from {last[topic]} to {offset}")
        last = row["positions"]


def check_decisions(evidence: Evidence, _: Walked) -> Iterator[Breach]:
    """8: every decision has a reason, a propensity in (0, 1], a model and a policy version."""
    for rec, body in bodies(evidence, "decisions"):
        propensity = body.get("p", 1.0)
        for sound, what in (
            (isinstance(body.get("r"), str) and body.get("r"), "no reason"),
            (0 < propensity <= 1, f"propensity {propensity}"),
            (isinstance(body.get("m"), int) and body.get("m", -1) >= 0, f"model version {body.get('m')}"),
            (body.get("v"), "no policy version"),
        ):
            if not sound:
                yield Breach(8, rec.place, what)


def check_model(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """9: published weights are finite, versions go up one by one, each example and response was learned from once."""
    last = 0
    for rec in evidence.all("model"):
        if rec.key is None or not rec.key.startswith(b"champion/") or rec.value is None:
            continue
        try:
            _, _, version, _, bias, weights = msgspec.msgpack.decode(rec.value)
        except (msgspec.DecodeError, ValueError, TypeError):
            continue  # a test's poison
        if not all(isfinite(w) for w in (bias, *struct.unpack(f"<{len(weights) // 8}d", weights))):
            yield Breach(9, rec.place, f"model version {version} is not finite")
        if version != last + 1:
            yield Breach(9, rec.place, f"model version {version} after {last}")
        last = version
    yield from state.learned(evidence)
    yield from responses.learned(evidence)


CHECKS: Final[dict[int, Callable[[Evidence, Walked], Iterator[Breach]]]] = {
    1: check_folds,
    2: check_tables,
    3: check_fates,
    4: check_candidates,
    5: check_triggers,
    6: check_policy,
    7: check_positions,
    8: check_decisions,
    9: check_model,
    10: check_erasures,
    11: check_replay,
    13: check_memory,
}
