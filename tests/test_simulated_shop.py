"""The simulated shop without an engine: equal seeds give equal worlds, and pushes change them as they are said to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import jsonschema
import numpy as np
import pytest
from msgspec.structs import replace

from load_tests.shop.action import milliseconds
from load_tests.shop.compare import at_stake
from load_tests.shop.direct import Direct
from load_tests.shop.file import DAY_MS, HOUR_MS, SHIPPED, Kind, ShopFileError, read
from load_tests.shop.goods import item_id
from load_tests.shop.play import play_alone
from load_tests.shop.world import Push, World
from streamer.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from load_tests.shop.action import Row
    from load_tests.shop.file import Shop
    from load_tests.shop.truth import Truth

SHOPS = sorted(file.stem for file in SHIPPED.glob("*.toml"))


def small(name: str = "fashion", **changes: object) -> Shop:
    """A few days of a shipped shop."""
    return replace(read(name), **({"days": 4, "shoppers": 40} | changes))


def only(kind: str, **changes: float) -> Shop:
    """A shop of one kind of shopper."""
    shop = small()
    made: Kind = replace(shop.types[kind], share=1.0, **changes)
    return replace(shop, types={kind: made})


def times(shop: Shop, a_day: int) -> list[int]:
    """By day, from ten o'clock on."""
    return [shop.start_ms + d * DAY_MS + 10 * HOUR_MS + n * 60_000 for d in range(shop.days) for n in range(a_day)]


def lived(world: World) -> list[Row]:
    """All records of a run that nothing is pushed in."""
    rows: list[Row] = []
    while not world.over:
        rows += world.step()
    return rows


@pytest.mark.parametrize("name", SHOPS)
def test_a_shipped_shop_sells_something_on_every_day(name: str):
    """Three shops, from their files."""
    world = World(replace(read(name), shoppers=150), 1)
    lived(world)
    assert min(world.truth.by_day("conversions")) > 0
    assert world.truth.by_day("conversions") == world.truth.by_day("anyway")


def test_there_are_three_shops():
    """By the names the README gives."""
    assert SHOPS == ["electronics", "fashion", "grocery"]


def test_the_same_seed_is_the_same_world_and_another_one_is_not():
    """Record by record."""
    shop = small()
    assert lived(World(shop, 1)) == lived(World(shop, 1))
    assert lived(World(shop, 1)) != lived(World(shop, 2))


def test_records_come_in_time_order_within_their_step_and_none_before_it():
    """As a shop would send them; the step that is over is never added to."""
    world = World(small(), 1)
    pushed = 0
    while not world.over:
        begins = world.now_ms
        rows = world.step()
        stamps = [row.timestamp_ms for row in rows]
        assert stamps == sorted(stamps)
        assert all(begins <= stamp < world.now_ms for stamp in stamps)
        for action in world.latest[:3]:
            if action.items:
                pushed += 1
                world.react(Push(f"p-{pushed}", action.shopper, action.items[:1], action.time_ms))
    assert pushed > 50


def test_all_records_are_as_the_contract_has_them():
    """Against the shipped schemas, pushes and their answers included."""
    from importlib.resources import files

    folder = files("streamer.schemas")
    schemas = {
        name: jsonschema.Draft202012Validator(json.loads(folder.joinpath(f"{name}.schema.json").read_bytes()))
        for name in ("event", "feedback", "preferences", "catalog")
    }
    names = {"browse": "event", "search": "event", "purchase": "event"}
    world, kinds = World(small(shoppers=60), 1), Counter[str]()
    number = 0
    while not world.over:
        for row in world.step():
            body = json.loads(row.value)
            schemas[names.get(row.topic, row.topic)].validate(body)
            if row.topic != "catalog":
                assert row.key.decode() == body["subject"]
                assert milliseconds(body["time"]) == row.timestamp_ms
                kinds[body["type"]] += 1
        for action in world.latest[:5]:
            number += 1
            world.react(Push(f"p-{number}", action.shopper, (number % 50,), action.time_ms))
    answers = {"delivered", "opened", "clicked", "dismissed", "unsubscribed"}
    assert set(kinds) >= {"view", "search", "cart", "purchase", "preferences"} | {f"push_{word}" for word in answers}


def test_what_comes_of_a_push_depends_on_its_id_and_not_on_what_else_was_pushed():
    """Common random numbers: two arms that push the same get the same answer."""
    shop = small()

    def answers(others: int) -> list[Row]:
        world = World(shop, 1)
        world.step()
        for n in range(others):
            world.react(Push(f"other-{n}", 7, (n,), shop.start_ms))
        world.react(Push("mine", 3, (5,), shop.start_ms + 60_000))
        return [row for row in lived(world) if b'"mine' in row.value]

    assert answers(0) == answers(5)
    assert answers(0)


def test_persuadable_shoppers_buy_more_for_pushes():
    """And what they would have bought anyway is counted apart."""
    truth = _pushed_the_best(only("persuadable", click=0.9, buy=0.9))
    assert truth.total("conversions") > truth.total("anyway") + 0.2 * truth.total("clicks")
    assert truth.total("expected") > 0


def test_sure_things_click_and_buy_no_more():
    """A purchase is brought forward, and the order to come lacks it."""
    truth = _pushed_the_best(only("sure_thing", click=0.9, forward=1.0))
    assert truth.total("attributed") > 0
    assert truth.total("value") <= 1.35 * truth.total("value_anyway")
    extra = truth.total("conversions") - truth.total("anyway")
    assert extra < truth.total("attributed"), "orders that lost their only line do not come"


def test_lost_causes_do_not_buy():
    """However much they are pushed."""
    truth = _pushed_the_best(only("lost_cause", buy=0.0, forward=0.0))
    assert truth.total("conversions") == truth.total("anyway")
    assert truth.total("attributed") == 0


def test_sleeping_dogs_buy_less_for_pushes():
    """Let them lie."""
    truth = _pushed_the_best(only("sleeping_dog", lost=0.9, click=0.0))
    assert truth.total("conversions") < truth.total("anyway")
    assert truth.total("expected") < 0
    assert truth.total("regret") > 0


def test_what_was_at_stake_is_what_came_of_it_in_the_mean():
    """Only sleeping dogs are lost, only clicks of who can be persuaded sell, and opt-outs come as often as told."""
    truth = _pushed_the_best(small(shoppers=600), a_day=800)
    assert {truth.kinds[push["shopper"]] for push in truth.pushes if push["loses"]} == {"sleeping_dog"}
    assert {truth.kinds[push["shopper"]] for push in truth.pushes if push["sells"]} == {"persuadable", "lost_cause"}
    stake = at_stake([truth])
    expected = stake["leave"] * len(truth.pushes) / 1000
    assert abs(truth.total("opt_outs") - expected) < 4 * expected**0.5


def test_pushes_tire_and_are_forgotten():
    """Attention halves and opt-outs grow with each push more, and come back."""
    shop = small()
    world = World(shop, 1)
    fresh = world.minds.chances(0, shop.start_ms, by_day=True)
    for n in range(6):
        world.minds.pushed(0, shop.start_ms + n)
    tired = world.minds.chances(0, shop.start_ms + 10, by_day=True)
    rested = world.minds.chances(0, shop.start_ms + 60 * DAY_MS, by_day=True)
    assert np.all(tired.leave > fresh.leave)
    assert tired.click.sum() < 0.7 * fresh.click.sum()
    assert world.minds.fatigue(0, shop.start_ms + 60 * DAY_MS) < 1e-3
    assert rested.leave.sum() < 1.01 * fresh.leave.sum()


def test_what_suits_is_clicked_more_than_what_is_popular():
    """The best item of each shopper against the most popular one to everyone, as often."""
    shop = small(shoppers=80)
    popular = play_alone(World(shop, 1), times(shop, 60))
    best = _pushed_the_best(shop, 60)
    assert popular.total("pushes") == best.total("pushes") == 60 * shop.days
    assert best.total("clicks") > 1.5 * popular.total("clicks")
    assert best.total("regret") < popular.total("regret")


def test_an_opt_out_is_told_once_and_ends_reach():
    """On ``feedback``; a broadcast goes to others from then on."""
    shop = only("sleeping_dog", leave=0.9)
    world = World(shop, 1)
    truth = play_alone(world, times(shop, 40))
    assert truth.total("opt_outs") == sum(world.opted_out) > 0
    assert truth.total("pushes") < 2 * len(world.people)


def test_the_truth_is_written_with_its_columns(tmp_path: Path):
    """As JSON, summing to its totals."""
    truth = _pushed_the_best(small())
    truth.write(tmp_path / "truth.json")
    body = json.loads((tmp_path / "truth.json").read_text())
    clicks = body["columns"].index("clicks")
    assert sum(row[clicks] for row in body["rows"]) == body["totals"]["clicks"] == truth.total("clicks")
    assert len(body["pushes"]) == body["totals"]["pushes"]


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        ("days = 21|days = 0", "days is less than 1"),
        ("share = 0.30|share = 0.90", "shares of types"),
        ('"Europe/London"|"Europe/Atlantis"', "no time zone"),
        ("visits_per_week|visits_a_week", "visits_"),
    ],
)
def test_a_file_that_is_no_shop_is_refused_with_what_is_wrong(tmp_path: Path, spoilt: str, says: str):
    """Nothing is guessed."""
    before, after = spoilt.split("|")
    text = (SHIPPED / "fashion.toml").read_text()
    assert before in text
    (tmp_path / "mine.toml").write_text(text.replace(before, after))
    with pytest.raises(ShopFileError, match=says):
        read(tmp_path / "mine.toml")


def test_a_folder_that_is_called_like_a_shipped_shop_is_not_in_its_way(tmp_path: Path):
    """As reports are put into folders of that name."""
    (tmp_path / "fashion").mkdir()
    code = "from load_tests.shop.file import read; print(read('fashion').name)"
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(SHIPPED.parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "fashion"


def _pushed_the_best(shop: Shop, a_day: int = 40) -> Truth:
    """Each shopper in turn gets what they would click most probably."""
    world = World(shop, 1)
    due = times(shop, a_day)
    number = 0
    while not world.over:
        world.step()
        while due and due[0] < world.now_ms:
            time_ms, shopper = due.pop(0), number % len(world.people)
            number += 1
            item = int(np.argmax(world.minds.chances(shopper, time_ms).click))
            world.react(Push(f"best-{number}", shopper, (item,), time_ms))
    return world.truth


@pytest.mark.slow
def test_in_the_shop_prices_fall_and_things_come_back_and_shoppers_are_told_once() -> None:
    """What a push says is what the catalog said by then: that it can be had, costs less than once, or lacked before."""
    shop = small(days=12, shoppers=60)
    on = {"campaigns.on": "price-drop,back-in-stock", "core.policy.per_hour": "100", "core.policy.per_day": "100"}
    world, engine = World(shop, 3), Direct(load(None, {}, on))
    said: dict[str, list[tuple[float, int]]] = {}
    pushes: list[Push] = []
    while not world.over:
        rows = world.step()
        for row in rows:
            if row.topic == "catalog":
                entry = json.loads(row.value or b"")
                said.setdefault((row.key or b"").decode(), []).append((entry["price"], entry["stock"]))
        for push in engine.exchange(rows):
            *before, (price, stock) = said[item_id(push.items[0])]
            assert stock > 0
            if push.campaign == "price-drop":
                assert price <= 0.9 * max(earlier for earlier, _ in before)
            else:
                assert 0 in {earlier for _, earlier in before}
            world.react(push)
            pushes.append(push)
    assert {push.campaign for push in pushes} == {"price-drop", "back-in-stock"}
    assert len({push.id for push in pushes}) == len(pushes)
