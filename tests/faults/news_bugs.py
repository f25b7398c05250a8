"""Bugs to plant into news from the catalog: told twice, to nobody, of what never was, at another price."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.faults import state
from tests.faults.doctor import again, change, change_json, drop, middle, newest
from tests.faults.news import CATALOG, WAITING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec


def of_news(rec: Rec) -> bool:
    """Whether a decision or a candidate is about news."""
    return b'"o":"catalog:' in (rec.value or b"") or b'"topic":"catalog"' in (rec.value or b"")


def forgets_who_watches(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["watch"]
    del rows[min(rows)]


def has_somebody_watch_who_looked_at_nothing(evidence: Evidence) -> None:
    rows = newest(evidence, "user").tables["watch"]
    rows[min(rows)[:17] + b"nobody"] = rows[min(rows)]


def _row(evidence: Evidence, place: int, more: int) -> None:
    rows = newest(evidence, "user").tables["watch"]
    key = min(rows)
    body = state.row(rows[key])
    body[place] += more
    rows[key] = rows[key][:1] + msgspec.msgpack.encode(body)


def remembers_another_price(evidence: Evidence) -> None:
    _row(evidence, 1, 1)


def takes_a_change_for_older_than_a_look(evidence: Evidence) -> None:
    _row(evidence, 2, 1)


def _task(evidence: Evidence, field: str, more: int) -> None:
    rec = evidence.records("changelog-user-tasks", 0)[-1]
    body = state.task_row(rec.value)
    body[field] += more
    change(evidence, rec, value=(rec.value or b"")[:1] + msgspec.msgpack.encode(body))


def skips_changes(evidence: Evidence) -> None:
    _task(evidence, "swept", 1)


def counts_who_watches_wrongly(evidence: Evidence) -> None:
    _task(evidence, "watched", -1)


def tells_of_a_change_twice(evidence: Evidence) -> None:
    again(evidence, middle(evidence, "decisions", of_news))


def tells_nobody_of_a_change(evidence: Evidence) -> None:
    drop(evidence, middle(evidence, "decisions", of_news))


def tells_of_a_change_that_never_was(evidence: Evidence) -> None:
    change_json(evidence, middle(evidence, "decisions", of_news), lambda body: body.update(o="catalog:1000000000"))


def tells_of_changes_that_no_tick_names(evidence: Evidence) -> None:
    def edit(body: dict[str, Any]) -> None:
        for batch in body["batches"]:
            for run in batch["runs"]:
                run[2] = 0 if run[0] == "tick" else run[2]

    for rec in evidence.all("journal"):
        change_json(evidence, rec, edit)


def reads_no_catalog(evidence: Evidence) -> None:
    """A task that tells of changes in a catalog that it says it has not read yet."""

    def edit(body: dict[str, Any]) -> None:
        for batch in body["batches"]:
            batch["replicas"][CATALOG] = [0]

    for rec in evidence.all("journal"):
        change_json(evidence, rec, edit)


def sends_news_of_a_change_of_something_else(evidence: Evidence) -> None:
    def edit(body: dict[str, Any]) -> None:
        body["trigger"]["event_id"] = f"item-1000@{body['trigger']['offset']}"

    change_json(evidence, middle(evidence, "push-candidates", of_news), edit)


def shows_what_nobody_told_of(evidence: Evidence) -> None:
    change_json(
        evidence, middle(evidence, "push-candidates", of_news), lambda body: body["items"][0].update(id="item-0-")
    )


def tells_another_price_than_the_one_before(evidence: Evidence) -> None:
    def drops(rec: Rec) -> bool:
        return of_news(rec) and WAITING[json.loads(rec.value or b"{}")["campaign"]].drop > 0

    change_json(
        evidence,
        middle(evidence, "push-candidates", drops),
        lambda body: body["template"]["vars"].update(price_was="1000000.00"),
    )


def pushes_what_cannot_be_had(evidence: Evidence) -> None:
    """There never was any of anything."""
    for rec in evidence.all(CATALOG):
        if rec.value is not None and rec.value.startswith(b'{"'):
            change_json(evidence, rec, lambda body: body.update(stock=0))


BUGS: Final[tuple[tuple[int, Callable[[Evidence], None]], ...]] = (
    (1, forgets_who_watches),
    (1, has_somebody_watch_who_looked_at_nothing),
    (1, remembers_another_price),
    (1, takes_a_change_for_older_than_a_look),
    (1, skips_changes),
    (1, counts_who_watches_wrongly),
    (3, tells_of_a_change_twice),
    (3, tells_nobody_of_a_change),
    (5, tells_of_a_change_that_never_was),
    (5, tells_of_changes_that_no_tick_names),
    (5, sends_news_of_a_change_of_something_else),
    (5, shows_what_nobody_told_of),
    (5, tells_another_price_than_the_one_before),
    (6, pushes_what_cannot_be_had),
    (7, reads_no_catalog),
    (7, tells_of_changes_that_no_tick_names),
)
