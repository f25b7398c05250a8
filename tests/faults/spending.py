"""The invariants on what coupons cost; part of the checker."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from tests.faults import plain, state
from tests.faults.coupons import COUPONS
from tests.faults.load import DAY_MS
from tests.faults.walk import Breach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.walk import Walked


def rows(evidence: Evidence, walked: Walked, partition: int) -> Iterator[Breach]:
    """1: a task's own row has what its decisions spent, to the cent, and never took anything back."""
    topic = "changelog-user-tasks"
    before: dict[str, int] = {}
    found: dict[str, list[int]] = {}
    for rec in evidence.records(topic, partition):
        found = state.task_row(rec.value).get("spent", {})
        for campaign, cents in before.items():
            if (now := found.get(campaign, [0, 0, 0])[2]) < cents:
                yield Breach(1, rec.place, f"what {campaign} spent goes back from {cents} cents to {now}")
        before = {campaign: spent[2] for campaign, spent in found.items()}
    due = walked.spent.get(partition, {})
    if {name: list(spent) for name, spent in found.items()} != due:
        yield Breach(1, f"{topic}:{partition}", f"{found} is said to be spent, the decisions spent {due}")


def budgets(evidence: Evidence) -> Iterator[Breach]:
    """6: what all tasks together sent costs no more than the budget, in all and on any day, whatever any row says."""
    decided = {}
    for rec in evidence.all("push-candidates"):
        body = json.loads(rec.value or b"{}")
        decided[body["candidate_id"]] = plain.milliseconds(body["decided_at"])
    cents: Counter[tuple[str, int | None]] = Counter()
    for rec in evidence.all("decisions"):
        body = json.loads(rec.value or b"{}")
        if cost := body.get("k", 0):
            cents[body["c"], None] += cost
            cents[body["c"], decided.get(body.get("d"), 0) // DAY_MS] += cost
    for (campaign, day), spent in cents.items():
        if (coupon := COUPONS.get(campaign)) is None:
            yield Breach(6, f"decisions of {campaign}", f"coupons of {spent} cents, but it gives none")
            continue
        most = coupon.budget if day is None else coupon.per_day
        if most and spent > most:
            when = "in all" if day is None else f"on day {day}"
            yield Breach(6, f"decisions of {campaign}", f"coupons of {spent} cents {when}, of {most} allowed")
