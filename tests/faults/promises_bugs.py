"""Bugs to plant that break a promise: what was to be forgotten is kept, a replay gives something else, memory grows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tests.faults import state
from tests.faults.doctor import again, busy_row
from tests.faults.load import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence


def erased_user(evidence: Evidence) -> bytes:
    """One whose erasure stands in the policy table."""
    return next(
        key
        for partition in range(evidence.partitions)
        for key, row in sorted(evidence.last_rows("changelog-user-policy", partition).items())
        if state.row(row)[0][9]
    )


def keeps_the_profile_of_an_erased_user(evidence: Evidence) -> None:
    for rec in evidence.all("changelog-user-profile"):
        policy = evidence.last_rows("changelog-user-policy", rec.partition).get(rec.key or b"")
        erased_ms = state.row(policy)[0][9] if policy is not None else 0
        if rec.value is not None and state.row(rec.value, 4)[0] <= erased_ms:
            again(evidence, rec)
            return
    raise AssertionError("nobody with a profile was erased")


def removes_the_row_of_somebody_else(evidence: Evidence) -> None:
    records = evidence.topics["changelog-user-policy"][0]
    records.append(replace(records[-1], offset=records[-1].offset + 1, key=b"somebody else", value=None))


def forgets_that_a_user_was_erased(evidence: Evidence) -> None:
    key = erased_user(evidence)
    partition = partition_of(key, evidence.partitions)
    records = evidence.topics["changelog-user-policy"][partition]
    records[:] = [rec for rec in records if rec.key != key]


def folds_otherwise_when_replayed(evidence: Evidence) -> None:
    assert evidence.shadow is not None
    rows = evidence.shadow.tables[0]["profile"]
    rows[busy_row(rows)] += b"\0"


def sends_otherwise_when_replayed(evidence: Evidence) -> None:
    assert evidence.shadow is not None
    sent = next(found for found in evidence.shadow.candidates.values() if len(found) > 1)
    sent[0], sent[1] = sent[1], sent[0]


def loses_a_candidate_when_replayed(evidence: Evidence) -> None:
    assert evidence.shadow is not None
    next(found for found in evidence.shadow.candidates.values() if found).pop()


def holds_ever_more_memory(evidence: Evidence) -> None:
    evidence.rss["user-0"] *= 4


BUGS: Final[tuple[tuple[int, Callable[[Evidence], None]], ...]] = (
    (10, keeps_the_profile_of_an_erased_user),
    (10, removes_the_row_of_somebody_else),
    (10, forgets_that_a_user_was_erased),
    (11, folds_otherwise_when_replayed),
    (11, sends_otherwise_when_replayed),
    (11, loses_a_candidate_when_replayed),
    (13, holds_ever_more_memory),
)
