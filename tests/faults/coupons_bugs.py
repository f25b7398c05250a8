"""Bugs to plant into what coupons cost: money that is not booked, is booked twice, or is not there to be spent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.faults import state
from tests.faults.coupons import COUPONS
from tests.faults.doctor import change, change_json, middle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec


def gives(rec: Rec) -> bool:
    """Whether a decision sends a coupon."""
    return b'"k":' in (rec.value or b"")


def _books(evidence: Evidence, rec: Rec, more: int) -> None:
    body = state.task_row(rec.value)
    campaign = max(body["spent"], key=lambda name: body["spent"][name][2])
    body["spent"][campaign][2] += more
    change(evidence, rec, value=(rec.value or b"")[:1] + msgspec.msgpack.encode(body))


def _spending(evidence: Evidence) -> list[Rec]:
    """The rows of a task that spent something."""
    for partition in range(evidence.partitions):
        if rows := [rec for rec in evidence.records("changelog-user-tasks", partition) if spent_of(rec)]:
            return rows
    raise AssertionError("nobody got a coupon")


def spent_of(rec: Rec) -> dict[str, list[int]]:
    """What a task's row says was spent."""
    spent: dict[str, list[int]] = state.task_row(rec.value).get("spent", {})
    return spent


def forgets_a_coupon(evidence: Evidence) -> None:
    _books(evidence, _spending(evidence)[-1], -1)


def books_a_coupon_twice(evidence: Evidence) -> None:
    _books(evidence, _spending(evidence)[-1], 200)


def takes_back_what_was_spent(evidence: Evidence) -> None:
    """As if a task had gone on from a row of an aborted transaction."""
    rows = _spending(evidence)
    _books(evidence, rows[len(rows) // 2], 200)


def sends_more_coupons_than_the_budget_has(evidence: Evidence) -> None:
    """Each coupon of a task that is sent costs as much as the whole of its part."""
    campaign = json.loads(middle(evidence, "decisions", gives).value or b"{}")["c"]
    for rec in [rec for rec in evidence.all("decisions") if gives(rec)]:
        if json.loads(rec.value or b"{}")["c"] == campaign:
            change_json(evidence, rec, lambda body: body.update(k=COUPONS[campaign].budget))


def sends_a_coupon_of_another_cost(evidence: Evidence) -> None:
    change_json(evidence, middle(evidence, "decisions", gives), lambda body: body.update(k=body["k"] - 1))


def refuses_a_coupon_that_could_be_paid(evidence: Evidence) -> None:
    """The first of a task, when nothing was spent yet."""

    def edit(body: dict[str, Any]) -> None:
        body["r"] = "over_budget"
        del body["k"]

    rec = next(rec for rec in evidence.all("decisions") if gives(rec) and b'"c":"thanks"' in (rec.value or b""))
    change_json(evidence, rec, edit)


def gives_a_coupon_for_a_campaign_without(evidence: Evidence) -> None:
    rec = middle(
        evidence, "decisions", lambda rec: b'"c":"next"' in (rec.value or b"") and b'"r":"sent"' in (rec.value or b"")
    )
    change_json(evidence, rec, lambda body: body.update(k=100))


BUGS: Final[tuple[tuple[int, Callable[[Evidence], None]], ...]] = (
    (1, forgets_a_coupon),
    (1, books_a_coupon_twice),
    (1, takes_back_what_was_spent),
    (6, sends_more_coupons_than_the_budget_has),
    (6, sends_a_coupon_of_another_cost),
    (6, refuses_a_coupon_that_could_be_paid),
    (6, gives_a_coupon_for_a_campaign_without),
)
