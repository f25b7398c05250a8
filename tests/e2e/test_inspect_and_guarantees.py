"""What ``inspect`` shows is what was committed; a broker without transactions is served at least once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import orjson

from streamer import inspect
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import shop, warm

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.conftest import System


def test_inspect_shows_a_user_an_item_and_the_model_as_committed(system: System) -> None:
    """And nothing for who is not known."""
    known = warm(system)
    rows = shop(users=40, events=12, name="shopper")
    system.send(rows)
    system.drain(known + len(rows))
    shopper = asyncio.run(inspect.user(system.settings, "shopper-3"))
    assert shopper["user"] == "shopper-3"
    assert sum(shopper["profile"]["counts"]) == 12
    assert {category["key"] for category in shopper["profile"]["categories"]} == {"shoes"}
    assert all(item["key"].startswith("item-") for item in shopper["profile"]["items"])
    assert 0.0 < shopper["predictions"]["purchase"] < 1.0
    assert set(shopper["predictions"]["next_category"]) == {"shoes"}
    assert asyncio.run(inspect.user(system.settings, "nobody")) == {}

    system.until(lambda: asyncio.run(inspect.item(system.settings, "item-1")).get("views", 0) >= 1, 20)
    item = asyncio.run(inspect.item(system.settings, "item-1"))
    assert item["item"] == "item-1"
    assert item["pairs"]
    assert all(name.startswith("item-") for name in item["pairs"])

    system.until(lambda: any(key.startswith("champion/") for key in asyncio.run(inspect.model(system.settings))), 20)
    blocks = asyncio.run(inspect.model(system.settings))
    assert {"metrics/champion", "metrics/challenger", "metrics/predict/churn"} <= blocks.keys()
    assert next(block["weights"] for key, block in blocks.items() if key.startswith("champion/"))


def test_without_transactions_everything_is_still_accounted_for(bootstrap: str, prefix: str, tmp_path: Path) -> None:
    """No crash here, so nothing is sent twice either."""
    with running(settings_for(bootstrap, prefix, tmp_path, runtime__guarantee="at_least_once")) as system:
        known = warm(system)
        rows = shop(users=20, events=8, name="shopper")
        system.send(rows)
        counts = system.drain(known + len(rows))
        assert counts["applied"] == known + len(rows)
        sent = Counter(orjson.loads(r.value)["candidate_id"] for r in system.read("push-candidates"))
        assert sent
        assert max(sent.values()) == 1
