"""News and who watches what, asked of a catalog made by hand: each is told once, to whom it is news."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tests.faults.evidence import Evidence
from tests.faults.news import MOST_TOLD, Catalog, News, Watching
from tests.faults.plain import HOUR_MS, Profile, Rec, Said
from tests.faults.walk import Walked
from tests.faults.watched import rows

NOW_MS = 1_790_000_000_000
ITEM = "item-1"


def catalog(*said: dict[str, Any] | None) -> Catalog:
    values = [None if body is None else json.dumps(body).encode() for body in said]
    return Catalog([Rec("catalog", 0, n, NOW_MS, ITEM.encode(), value) for n, value in enumerate(values)])


def looks(watching: Watching, position: int, user: str = "user-1", kind: str = "view", at_ms: int = NOW_MS) -> None:
    after = Profile(at_ms, at_ms, items={ITEM: [0, 0, 0, 0]})
    watching.hear(Said(user, kind, at_ms, items=(ITEM,), cents=(0,)), (), after, position)


def test_small_steps_down_are_told_once_they_add_up_and_then_no_more():
    shop = catalog(*({"price": price} for price in (10, 9.5, 8.99, 8.98)))
    watching = Watching(shop)
    looks(watching, 1)
    assert watching.sweep(2, NOW_MS, 4) == []  # overtaken by the drops after it
    assert watching.sweep(3, NOW_MS, 3) == [News("cheaper", "user-1", ITEM, 2, 1000)]
    assert watching.sweep(4, NOW_MS, 4) == []
    assert watching.swept == (4, "")


def test_what_was_seen_at_its_new_price_or_too_long_ago_or_cannot_be_had_is_no_news():
    shop = catalog({"price": 10}, {"price": 5}, {"price": 5, "stock": 0}, {"price": 4, "stock": 0}, {"price": 4})
    watching = Watching(shop)
    looks(watching, 1, "user-2", at_ms=NOW_MS - 2 * HOUR_MS)
    looks(watching, 1, "user-3", at_ms=NOW_MS - 2 * HOUR_MS + 1)
    looks(watching, 2)
    assert watching.sweep(2, NOW_MS, 2) == [News("cheaper", "user-3", ITEM, 1, 1000)]
    assert {user for _, user in watching.rows} == {"user-1", "user-3"}
    assert watching.sweep(4, NOW_MS, 4) == []
    # That it got cheaper while there was none is told when there is some.
    assert watching.sweep(5, NOW_MS, 5) == [
        News("cheaper", "user-1", ITEM, 4, 500),
        News("back-again", "user-1", ITEM, 4, 0),
        News("cheaper", "user-3", ITEM, 4, 500),
    ]


def test_more_watchers_than_one_tick_tells_are_told_at_the_next_and_none_twice():
    watching = Watching(catalog({"price": 10}, {"price": 5}))
    users = [f"user-{n:04d}" for n in range(MOST_TOLD + 3)]
    for user in users:
        looks(watching, 1, user)
    first = watching.sweep(2, NOW_MS, 2)
    assert watching.swept == (1, users[MOST_TOLD - 1])
    second = watching.sweep(2, NOW_MS, 2)
    assert [news.user for news in (*first, *second)] == users
    assert watching.swept == (2, "")
    assert watching.sweep(2, NOW_MS, 2) == []


def test_what_is_bought_or_forgotten_or_crowded_out_is_watched_no_more():
    watching = Watching(catalog())
    for user in ("user-1", "user-2", "user-3", "user-4"):
        looks(watching, 0, user)
    looks(watching, 0, "user-1", "purchase")
    watching.forget("user-2")
    watching.hear(Said("user-3", "list_view", NOW_MS, items=(), cents=()), (ITEM,), Profile(0, 0), 0)
    assert [user for _, user in watching.rows] == ["user-4"]


def test_a_row_that_does_not_follow_from_the_events_is_named():
    watching = Watching(catalog({"price": 10}))
    looks(watching, 1)
    ((key, due),) = watching.table.items()
    assert due == [NOW_MS, 1000, 1, ["view"], []]
    walked = Walked(watching={0: watching})

    def of(row: list[Any], watched: int) -> Evidence:
        task = {"positions": {}, "now": 0, "watched": watched, "swept": 1, "swept_after": ""}
        return Evidence(
            "",
            1,
            1,
            {
                "changelog-user-watch": {0: [Rec("", 0, 0, 0, key, b"\x01" + msgspec.msgpack.encode(row))]},
                "changelog-user-tasks": {0: [Rec("", 0, 0, 0, b"0", b"\x01" + msgspec.msgpack.encode(task))]},
            },
        )

    assert list(rows(of(due, 1), walked, 0)) == []
    (breach,) = rows(of([NOW_MS, 999, 1, ["view"], []], 1), walked, 0)
    assert "not [1790000000000, 1000, 1, ['view'], []]" in breach.what
    (breach,) = rows(of(due, 2), walked, 0)
    assert "(2, 1, '')" in breach.what
