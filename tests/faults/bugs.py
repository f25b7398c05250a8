"""Bugs to plant into the evidence of a sound run, each with the invariant that must be seen to break.

They are those the design fears: a record folded twice or not at all, a candidate out of an aborted transaction, a
table that kept what never committed, an offset that ran ahead.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.faults import coupons_bugs, news_bugs, promises_bugs, slates_bugs, state
from tests.faults.doctor import again, busy_row, change, change_json, drop, middle, newest
from tests.faults.news import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec


def counts_a_view_twice(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["profile"]
    key = busy_row(rows)
    body = msgspec.msgpack.decode(rows[key][1:])
    body[2][0] += 1
    rows[key] = rows[key][:1] + msgspec.msgpack.encode(body)


def forgets_a_fingerprint(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["seen"]
    rows[busy_row(rows)] = rows[busy_row(rows)][12:]


def forgets_a_push(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["policy"]
    key = next(key for key in sorted(rows) if state.row(rows[key])[1])
    standing, sent, *timers = state.row(rows[key])
    rows[key] = rows[key][:1] + msgspec.msgpack.encode([standing, sent[1:], *timers])


def loses_a_timer(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["policy"]
    key = next(key for key in sorted(rows) if state.row(rows[key])[2])
    standing, sent, armed, wake_ms = state.row(rows[key])
    rows[key] = rows[key][:1] + msgspec.msgpack.encode([standing, sent, armed[1:], wake_ms])


def loses_the_row_of_a_timer(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["due"]
    del rows[min(key for key in rows if b"/" in key)]


def counts_timers_wrongly(evidence: Evidence) -> None:
    rec = evidence.records("changelog-user-tasks", 0)[-1]
    body = state.task_row(rec.value)
    body["timers"] += 1
    change(evidence, rec, value=(rec.value or b"")[:1] + msgspec.msgpack.encode(body))


def fired(rec: Rec) -> bool:
    return b'"t":' in (rec.value or b"")


def fires_a_timer_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "decisions", fired))


def fires_no_timer_of_a_tick(evidence: Evidence) -> None:
    drop(evidence, middle(evidence, "decisions", fired))


def fires_a_timer_that_is_not_due(evidence: Evidence) -> None:
    change_json(evidence, middle(evidence, "decisions", fired), lambda body: body.update(t=body["t"] + 60_000))


def journals_no_ticks(evidence: Evidence) -> None:
    def edit(body: dict[str, Any]) -> None:
        for batch in body["batches"]:
            batch["runs"] = [run for run in batch["runs"] if run[0] != "tick"]

    for rec in evidence.all("journal"):
        change_json(evidence, rec, edit)


def counts_an_item_twice(evidence: Evidence) -> None:
    rows = newest(evidence, "item").tables["items"]
    key = busy_row(rows)
    body = state.row(rows[key])
    body[2] += 1
    rows[key] = rows[key][:1] + msgspec.msgpack.encode(body)


def stream_time_runs_ahead(evidence: Evidence) -> None:
    def edit(body: dict[str, Any]) -> None:
        body["now"] += 1

    change_json(evidence, middle(evidence, "journal"), edit)


def keeps_a_row_that_never_committed(evidence: Evidence) -> None:
    newest(evidence, "user").tables["profile"][b"nobody"] = b"\x04\x90"


def loses_a_row_on_disk(evidence: Evidence) -> None:
    rows = newest(evidence, "trainer").tables["model_state"]
    del rows[b"trainer/learner"]


def a_changelog_row_is_missing(evidence: Evidence) -> None:
    topic = "changelog-item-items"
    last = {rec.key: rec for rec in evidence.records(topic, 0)}
    drop(evidence, next(iter(last.values())))


def stands_behind_its_changelog(evidence: Evidence) -> None:
    store = newest(evidence, "user")
    topic = f"{evidence.prefix}changelog-user-tasks"
    store.positions[topic] -= 2


def counts_a_duplicate_as_applied(evidence: Evidence) -> None:
    rec = middle(evidence, "journal", lambda rec: b'"duplicate"' in (rec.value or b""))

    def edit(body: dict[str, Any]) -> None:
        batch = next(batch for batch in body["batches"] if batch["counts"].get("duplicate"))
        batch["counts"]["duplicate"] -= 1
        batch["counts"]["applied"] = batch["counts"].get("applied", 0) + 1

    change_json(evidence, rec, edit)


def loses_a_dead_letter(evidence: Evidence) -> None:
    drop(evidence, middle(evidence, "dead-letters"))


def gives_another_reason(evidence: Evidence) -> None:
    rec = middle(evidence, "dead-letters")
    other = b"bad_time" if ("dl_reason", b"empty") in rec.headers else b"empty"
    change(evidence, rec, headers=tuple((n, other if n == "dl_reason" else v) for n, v in rec.headers))


def rekeys_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "ingress"))


def decides_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "decisions"))


def sends_a_candidate_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "push-candidates"))


def loses_a_candidate(evidence: Evidence) -> None:
    drop(evidence, middle(evidence, "push-candidates"))


def refuses_for_no_reason_that_holds(evidence: Evidence) -> None:
    rec = middle(
        evidence,
        "decisions",
        lambda rec: b'"r":"no_candidates"' in (rec.value or b"") or b"low_score" in (rec.value or b""),
    )
    change_json(evidence, rec, lambda body: body.update(r="min_gap"))


def learns_from_an_event_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "examples", lambda rec: state.example(rec) is not None))


def _of_an_event(rec: Rec) -> bool:
    """Whether a candidate was triggered by what shoppers do, not by a change of the catalog."""
    return bool(json.loads(rec.value or b"{}")["trigger"]["topic"] != CATALOG)


def candidate_of_an_aborted_transaction(evidence: Evidence) -> None:
    def edit(body: dict[str, Any]) -> None:
        body["trigger"]["offset"] = 10**9

    change_json(evidence, middle(evidence, "push-candidates", _of_an_event), edit)


def candidate_of_a_poison_record(evidence: Evidence) -> None:
    letter = dict(middle(evidence, "dead-letters").headers)

    def edit(body: dict[str, Any]) -> None:
        body["trigger"] |= {
            "topic": letter["dl_topic"].decode(),
            "partition": int(letter["dl_partition"]),
            "offset": int(letter["dl_offset"]),
        }

    change_json(evidence, middle(evidence, "push-candidates"), edit)


def decision_on_what_is_not_there(evidence: Evidence) -> None:
    change_json(evidence, middle(evidence, "decisions"), lambda body: body.update(o="browse:1000000000"))


def example_of_an_event_that_never_was(evidence: Evidence) -> None:
    rec = middle(evidence, "examples", lambda rec: state.example(rec) is not None)
    body = state.example(rec)
    assert body is not None
    body[1] ^= 1
    change(evidence, rec, value=msgspec.msgpack.encode(body))


def pushes_too_soon(evidence: Evidence) -> None:
    """The second push of a shopper, said to be a minute after the first."""
    seen: dict[str, str] = {}
    for rec in evidence.all("push-candidates"):
        body = json.loads(rec.value or b"{}")
        if body["user_id"] in seen:
            change_json(evidence, rec, lambda body: body.update(decided_at=seen[body["user_id"]]))
            return
        seen[body["user_id"]] = body["decided_at"]
    raise AssertionError("nobody had two pushes")


def pushes_against_a_no(evidence: Evidence) -> None:
    rec = middle(evidence, "decisions", lambda rec: b'"r":"consent"' in (rec.value or b""))
    change_json(evidence, rec, lambda body: body.update(r="sent", d="0" * 32))


def pushes_what_was_bought(evidence: Evidence) -> None:
    """Every candidate offers an item that some shopper has bought."""
    bought = "item-0"
    for rec in evidence.all("push-candidates"):
        change_json(evidence, rec, lambda body: body["items"][0].update(id=bought))


def folds_a_record_twice(evidence: Evidence) -> None:
    def edit(body: dict[str, Any]) -> None:
        run = next(run for batch in body["batches"] for run in batch["runs"] if run[0] != "tick")
        body["batches"][0]["runs"].append([run[0], run[2], run[2]])

    change_json(evidence, middle(evidence, "journal"), edit)


def skips_a_record(evidence: Evidence) -> None:
    rec = middle(evidence, "journal", lambda rec: b'"browse"' in (rec.value or b""))

    def edit(body: dict[str, Any]) -> None:
        for batch in body["batches"]:
            for run in batch["runs"]:
                if run[0] == "browse":
                    run[1] += 1
                    return

    change_json(evidence, rec, edit)


def a_task_goes_back(evidence: Evidence) -> None:
    records = evidence.topics["changelog-user-tasks"][0]
    records.append(replace(records[len(records) // 2], offset=records[-1].offset + 2))


def the_group_runs_ahead(evidence: Evidence) -> None:
    evidence.offsets["user", "browse", 0] += 1


def never_folds_the_last_records(evidence: Evidence) -> None:
    records = evidence.topics["browse"][1]
    records.append(replace(records[-1], offset=records[-1].offset + 1))


def decides_without_a_reason(evidence: Evidence) -> None:
    change_json(evidence, middle(evidence, "decisions"), lambda body: body.pop("r"))


def decides_with_an_impossible_propensity(evidence: Evidence) -> None:
    change_json(evidence, middle(evidence, "decisions"), lambda body: body.update(p=0.0))


def decides_without_a_policy_version(evidence: Evidence) -> None:
    change_json(evidence, middle(evidence, "decisions"), lambda body: body.update(v=""))


def champion(rec: Rec) -> bool:
    return (rec.key or b"").startswith(b"champion/")


def publishes_weights_that_are_not_finite(evidence: Evidence) -> None:
    rec = middle(evidence, "model", champion)
    body = msgspec.msgpack.decode(rec.value or b"")
    body[5] = struct.pack("<d", float("nan")) + body[5][8:]
    change(evidence, rec, value=msgspec.msgpack.encode(body))


def publishes_a_version_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "model", champion))


def the_trainer_misses_an_example(evidence: Evidence) -> None:
    rows = newest(evidence, "trainer").tables["model_state"]
    body = msgspec.msgpack.decode(rows[b"trainer/learner"])
    body[1] -= 1
    rows[b"trainer/learner"] = msgspec.msgpack.encode(body)


BUGS: Final[tuple[tuple[int, Callable[[Evidence], None]], ...]] = (
    (1, counts_a_view_twice),
    (1, forgets_a_fingerprint),
    (1, forgets_a_push),
    (1, loses_a_timer),
    (1, loses_the_row_of_a_timer),
    (1, counts_timers_wrongly),
    (1, counts_an_item_twice),
    (1, stream_time_runs_ahead),
    (2, keeps_a_row_that_never_committed),
    (2, loses_a_row_on_disk),
    (2, a_changelog_row_is_missing),
    (2, stands_behind_its_changelog),
    (3, counts_a_duplicate_as_applied),
    (3, loses_a_dead_letter),
    (3, gives_another_reason),
    (3, rekeys_twice),
    (3, decides_twice),
    (3, fires_a_timer_twice),
    (3, fires_no_timer_of_a_tick),
    (3, fires_a_timer_that_is_not_due),
    (5, journals_no_ticks),
    (4, sends_a_candidate_twice),
    (4, loses_a_candidate),
    (4, refuses_for_no_reason_that_holds),
    (4, learns_from_an_event_twice),
    (5, candidate_of_an_aborted_transaction),
    (5, candidate_of_a_poison_record),
    (5, decision_on_what_is_not_there),
    (5, example_of_an_event_that_never_was),
    (6, pushes_too_soon),
    (6, pushes_against_a_no),
    (6, pushes_what_was_bought),
    (7, folds_a_record_twice),
    (7, skips_a_record),
    (7, a_task_goes_back),
    (7, the_group_runs_ahead),
    (7, never_folds_the_last_records),
    (8, decides_without_a_reason),
    (8, decides_with_an_impossible_propensity),
    (8, decides_without_a_policy_version),
    (9, publishes_weights_that_are_not_finite),
    (9, publishes_a_version_twice),
    (9, the_trainer_misses_an_example),
    *coupons_bugs.BUGS,
    *news_bugs.BUGS,
    *slates_bugs.BUGS,
    *promises_bugs.BUGS,
)
