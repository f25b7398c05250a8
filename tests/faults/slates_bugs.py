"""Bugs to plant into what waits for responses, and into these: lost, told twice, of something else than was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.faults import state
from tests.faults.doctor import again, change, drop, middle, newest
from tests.faults.responses import response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec


def told(rec: Rec) -> bool:
    """Whether an example is a response."""
    return response(rec) is not None


def _row(evidence: Evidence, place: int) -> tuple[bytes, list[Any], dict[bytes, bytes]]:
    """Of a shopper with something that waits (place 0) or is over (1)."""
    for store in evidence.stores:
        if store.role == "user" and newest(evidence, "user", store.partition) is store:
            rows = store.tables.get("slates", {})
            for key in sorted(rows):
                if (body := state.row(rows[key]))[place]:
                    return key, body, rows
    raise AssertionError("nobody's push waits, or is over")


def forgets_a_push_that_waits(evidence: Evidence) -> None:
    key, _, rows = _row(evidence, 0)
    del rows[key]


def _edit(evidence: Evidence, place: int, edit: Callable[[list[Any]], None]) -> None:
    key, body, rows = _row(evidence, place)
    edit(body)
    rows[key] = rows[key][:1] + msgspec.msgpack.encode(body)


def keeps_a_push_twice(evidence: Evidence) -> None:
    _edit(evidence, 0, lambda body: body[0].append(body[0][-1]))


def hears_what_nobody_said(evidence: Evidence) -> None:
    def edit(body: list[Any]) -> None:
        body[0][0][13] ^= 1 << 2

    _edit(evidence, 0, edit)


def keeps_a_push_that_no_decision_sent(evidence: Evidence) -> None:
    def edit(body: list[Any]) -> None:
        body[0][0][0] = bytes(16)

    _edit(evidence, 0, edit)


def forgets_that_a_push_is_over(evidence: Evidence) -> None:
    _edit(evidence, 1, lambda body: body[1].pop())


def loses_the_row_of_slates(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["due"]
    del rows[min(key for key in rows if b"~" in key)]


def tells_of_a_response_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "examples", told))


def loses_a_response(evidence: Evidence) -> None:
    drop(evidence, middle(evidence, "examples", told))


def _tell(evidence: Evidence, edit: Callable[[list[Any]], None]) -> None:
    rec = middle(evidence, "examples", told)
    body = response(rec)
    assert body is not None
    edit(body)
    change(evidence, rec, value=msgspec.msgpack.encode(body))


def takes_a_purchase_for_none_or_none_for_one(evidence: Evidence) -> None:
    def edit(body: list[Any]) -> None:
        body[8] = not body[8]

    _tell(evidence, edit)


def takes_a_click_for_none_or_none_for_one(evidence: Evidence) -> None:
    def edit(body: list[Any]) -> None:
        body[10] = not body[10]

    _tell(evidence, edit)


def tells_of_a_push_that_never_was(evidence: Evidence) -> None:
    def edit(body: list[Any]) -> None:
        body[3] += 1

    _tell(evidence, edit)


def the_trainer_misses_a_response(evidence: Evidence) -> None:
    rows = newest(evidence, "trainer").tables["model_state"]
    body = msgspec.msgpack.decode(rows[b"trainer/uplift/figures"])
    body[0] -= 1
    rows[b"trainer/uplift/figures"] = msgspec.msgpack.encode(body)


BUGS: Final[tuple[tuple[int, Callable[[Evidence], None]], ...]] = (
    (1, forgets_a_push_that_waits),
    (1, keeps_a_push_twice),
    (1, hears_what_nobody_said),
    (1, keeps_a_push_that_no_decision_sent),
    (1, forgets_that_a_push_is_over),
    (1, loses_the_row_of_slates),
    (4, tells_of_a_response_twice),
    (4, loses_a_response),
    (4, takes_a_purchase_for_none_or_none_for_one),
    (4, takes_a_click_for_none_or_none_for_one),
    (4, tells_of_a_push_that_never_was),
    (9, the_trainer_misses_a_response),
)
