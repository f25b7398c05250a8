"""News from the catalog on real Kafka: told once, whatever becomes of the worker, and a replay tells them again."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson

from streamer.core.record import TICK
from streamer.replay.run import Request, replay
from streamer.replay.verify import verify
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import event, warm
from tests.e2e.test_standby import metric
from tests.e2e.test_timers import kill_user_workers
from tests.e2e.test_two_workers import tasks_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import System

Rows = list[tuple[str, bytes | None, bytes | None]]


def said(prices: dict[str, float], stock: int = 5) -> Rows:
    """Records of the catalog."""
    return [
        ("catalog", item.encode(), orjson.dumps({"title": f"The {item}", "price": price, "stock": stock}))
        for item, price in prices.items()
    ]


def looks(names: list[str], item: str, number: int) -> Rows:
    """A cart event of each; it tells the price that the catalog tells."""
    items = [{"id": item, "price": 10.0}]
    return [("purchase", name.encode(), event(name, number, item, "cart", items=items)) for name in names]


def pushed(system: System) -> dict[str, list[dict[str, Any]]]:
    """The candidates of both campaigns, by shopper."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in system.read("push-candidates"):
        body = orjson.loads(record.value)
        if body["campaign"] in {"price-drop", "back-in-stock"}:
            found.setdefault(body["user_id"], []).append(body)
    return found


def told(system: System) -> list[int]:
    """Up to where ticks told of changes of the catalog."""
    return [
        last
        for record in system.read("journal")
        for batch in orjson.loads(record.value)["batches"]
        for topic, _, last in batch["runs"]
        if topic == TICK and last
    ]


def test_news_are_told_once_through_sigkills_while_they_are_told_and_in_a_replay(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """A few at a time, so that a kill comes in the middle; nothing else comes, so it is by the clock."""
    settings = settings_for(
        bootstrap,
        prefix,
        tmp_path,
        runtime__session_timeout_s=6,
        campaigns__on="price-drop,back-in-stock",
        core__timers__told_per_tick=4,
        core__timers__fired_per_tick=4,
    )
    with running(settings) as system:
        begun = warm(system)
        system.send(said({"lamp": 10.0, "sofa": 10.0}) + said({"tent": 10.0}, stock=0))
        system.send(said({"lamp": 9.5}))  # a change that nobody watches yet, and that all replicas have to know
        names = [f"shopper-{n}" for n in range(120)]
        buyers = [f"buyer-{n}" for n in range(20)]
        others = [f"other-{n}" for n in range(80)]
        system.until(lambda: len(tasks_of(system, 0)) == 4, 60)
        rows = looks(names + buyers, "sofa", 1000) + looks(others, "tent", 1000)
        system.send(rows)
        system.drain(begun + len(rows))
        gone = [("purchase", name.encode(), event(name, 1001, "sofa", "purchase")) for name in buyers]
        system.send(gone)
        events = begun + len(rows) + len(gone)
        system.drain(events)
        assert pushed(system) == {}
        system.send(said({"sofa": 6.5}))
        system.until(lambda: len(pushed(system)) > 0, 60)
        kill_user_workers(system)  # some are told, some are armed, some are neither
        system.send(said({"tent": 10.0}, stock=7))  # and this comes while nobody is there
        system.until(lambda: len(pushed(system)) > 60, 90)
        kill_user_workers(system)
        system.until(lambda: set(pushed(system)) == {*names, *others}, 90)
        system.until(lambda: metric(system, 0, "streamer_timers_pending") == 0.0, 30)
        found = pushed(system)
        assert all(len(candidates) == 1 for candidates in found.values())
        for name in names:
            (candidate,) = found[name]
            words = candidate["template"]["vars"]
            assert (candidate["campaign"], candidate["items"][0]["id"]) == ("price-drop", "sofa")
            assert (words["price_was"], words["price"]) == ("10.00", "6.50")
            assert (candidate["trigger"]["type"], candidate["trigger"]["topic"]) == ("price_drop", "catalog")
        for name in others:
            (candidate,) = found[name]
            assert (candidate["campaign"], candidate["items"][0]["id"]) == ("back-in-stock", "tent")
        assert len(told(system)) > 8
    report = asyncio.run(replay(settings, Request("again"), lambda *_: None))
    assert report.parted == []
    assert report.records == events
    assert report.candidates == len(names) + len(others)
    verdict = asyncio.run(verify(settings, "live", "again"))
    assert (verdict.first, verdict.apart) == ([], [])
    assert verdict.candidates == len(names) + len(others)
    assert Counter(c["trigger"]["type"] for c in (found[n][0] for n in found)) == {
        "price_drop": len(names),
        "back_in_stock": len(others),
    }


def test_a_shop_without_such_campaigns_has_no_row_and_no_tick_for_its_catalog(system: System) -> None:
    """What the catalog says is told to nobody."""
    begun = warm(system)
    system.send(said({"item-1": 10.0}))
    rows = looks([f"shopper-{n}" for n in range(20)], "item-1", 1000)
    system.send(rows)
    system.drain(begun + len(rows))
    system.send(said({"item-1": 5.0}))
    later = looks([f"shopper-{n}" for n in range(20)], "item-2", 1001)
    system.send(later)
    system.drain(begun + len(rows) + len(later))
    assert system.read("changelog-user-watch") == []
    assert told(system) == []
