"""The invariants on pushes that wait for their responses, and on these; part of the checker."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.faults import state
from tests.faults.walk import Breach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec
    from tests.faults.walk import Walked

KIND: Final = "response/1"
#: The last are what was heard: bought, opened, clicked, dismissed, opted out, taken, and whether it reached somebody.
FIELDS: Final = 15


def response(rec: Rec) -> list[Any] | None:
    """The fields of a response; None for another example, or a test's poison."""
    try:
        body = msgspec.msgpack.decode(rec.value or b"")
    except msgspec.DecodeError:
        return None
    return body if isinstance(body, list) and len(body) == FIELDS and body[0] == KIND else None


def rows(evidence: Evidence, walked: Walked, partition: int) -> Iterator[Breach]:
    """1: what waits is what decisions sent, each once, with what was heard of it within its windows."""
    due = {user.encode(): slates.row for user, slates in walked.responses[partition].of.items()}
    table = evidence.table("user", partition, "slates")
    for key in sorted(due.keys() | table.keys()):
        found = _row(table[key]) if key in table else None
        if found != due.get(key):
            what = f"the row is {found}, not {due.get(key)}"
            yield Breach(1, f"user-{partition} table slates key {key.decode()}", what)


def _row(value: bytes) -> list[Any]:
    waiting, closed, wake_ms, unkept = state.row(value)
    told = []
    for identity, decided_ms, campaign, items, _, _, _, pushed, chance, propensity, _, *rest in waiting:
        told.append([identity.hex(), decided_ms, campaign, items, pushed, chance, propensity, *rest])
    return [told, closed, wake_ms, unkept]


def told(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """4: of each push whose time is over there is one response, with what was heard of it."""
    found = Counter((rec.key, *_response(body)) for rec in evidence.all("examples") if (body := response(rec)))
    due = Counter(
        (str(partition).encode(), *said) for partition, each in walked.responses.items() for said in each.told
    )
    for each in sorted(found.keys() | due.keys(), key=str):
        if found[each] != due[each]:
            yield Breach(4, f"examples of task {each[0]!r}", f"{found[each]} responses {each[1:]}, of {due[each]} due")


def _response(body: list[Any]) -> tuple[Any, ...]:
    return *body[3:6], *body[8:]


def learned(evidence: Evidence) -> Iterator[Breach]:
    """9: the trainer has met each response once."""
    yield from state.met(evidence, "responses", "trainer/uplift/figures", 0, response)
