"""Coupons, asked of small evidence made by hand: what is sound passes, what is not is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.faults.coupons import COUPONS, Account
from tests.faults.evidence import Evidence
from tests.faults.load import DAY_MS
from tests.faults.plain import Rec
from tests.faults.spending import budgets, rows
from tests.faults.walk import Walked

NOW_MS = 20_000 * DAY_MS


def judged(account: Account, campaign: str, now_ms: int = NOW_MS, price: str = "", **decision: Any) -> list[str]:
    told = {"template": {"vars": {"coupon": f"{campaign}-1", "price": price}}}
    return list(account.judge(campaign, decision, told if decision["r"] == "sent" else None, now_ms))


def test_the_parts_of_a_budget_are_the_budget_and_a_coupon_that_fits_is_sound_to_the_cent():
    parts = [Account(partition, 4).left("thanks", NOW_MS) for partition in range(4)]
    assert sum(parts) == COUPONS["thanks"].budget
    account = Account(3, 4)
    assert [judged(account, "thanks", r="sent", k=200) for _ in range(3)] == [[], [], []]
    assert account.row == {"thanks": [20_000, 600, 600]}
    (beyond,) = judged(account, "thanks", r="sent", k=200)
    assert "of 0 that are left" in beyond


def test_a_day_has_a_part_of_its_own():
    account = Account(0, 4)
    assert judged(account, "look-again", price="40.01", r="sent", k=300) == []
    assert "of 201 that are left" in judged(account, "look-again", price="40.01", r="sent", k=300)[0]
    account = Account(0, 4)
    assert judged(account, "look-again", price="40.00", r="sent", k=300) == []
    assert judged(account, "look-again", NOW_MS + DAY_MS, price="40.00", r="sent", k=300) == []
    assert account.row == {"look-again": [20_001, 300, 600]}


@pytest.mark.parametrize(
    ("campaign", "decision", "what"),
    [
        ("thanks", {"r": "sent", "k": 199}, "which would be 200"),
        ("thanks", {"r": "sent"}, "which would be 200"),
        ("thanks", {"r": "over_budget"}, "cents are left for a coupon of 200"),
        ("thanks", {"r": "no_gain", "k": 200}, "yet with a coupon"),
        ("next", {"r": "sent", "k": 1}, "which gives none"),
        ("next", {"r": "no_gain"}, "which gives none"),
    ],
)
def test_what_is_wrong_with_a_decision_as_to_coupons_is_named(campaign: str, decision: dict[str, Any], what: str):
    assert any(what in said for said in judged(Account(0, 4), campaign, **decision))


def task_row(offset: int, cents: int) -> Rec:
    body = {"positions": {}, "now": 0, "spent": {"thanks": [20_000, cents, cents]}}
    return Rec("changelog-user-tasks", 0, offset, NOW_MS, b"0", b"\x01" + msgspec.msgpack.encode(body))


def test_a_row_that_has_other_spendings_than_the_decisions_or_took_some_back_is_named():
    walked = Walked(spent={0: {"thanks": [20_000, 400, 400]}})
    sound = Evidence("", 1, 1, {"changelog-user-tasks": {0: [task_row(0, 200), task_row(1, 400)]}})
    assert list(rows(sound, walked, 0)) == []
    less = Evidence("", 1, 1, {"changelog-user-tasks": {0: [task_row(0, 200)]}})
    assert ["is said to be spent" in breach.what for breach in rows(less, walked, 0)] == [True]
    back = Evidence("", 1, 1, {"changelog-user-tasks": {0: [task_row(0, 600), task_row(1, 400)]}})
    assert ["goes back from 600" in breach.what for breach in rows(back, walked, 0)] == [True]


def test_tasks_that_spend_more_together_than_there_is_are_named_whatever_their_rows_say():
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC).isoformat()

    def spent(count: int) -> Evidence:
        sent = [{"c": "look-again", "r": "sent", "k": 2002 // 2, "d": f"{n}"} for n in range(count)]
        decisions = [Rec("decisions", 0, n, 0, b"", json.dumps(body).encode()) for n, body in enumerate(sent)]
        bodies = [{"candidate_id": body["d"], "decided_at": at} for body in sent]
        candidates = [Rec("push-candidates", 0, n, 0, b"", json.dumps(body).encode()) for n, body in enumerate(bodies)]
        return Evidence("", 1, 1, {"decisions": {0: decisions}, "push-candidates": {0: candidates}})

    assert list(budgets(spent(2))) == []
    (breach,) = budgets(spent(3))
    assert "3003 cents on day 20000, of 2002 allowed" in breach.what
