"""Campaigns that meet at one moment, and their own items: nobody's turn is lost, and each is about what it is about."""

from __future__ import annotations

import tomllib
from collections import Counter
from random import Random
from typing import Any

import pytest

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.campaigns.read import read_campaign
from streamer.core.settings import DAY_MS, HOUR_MS, CoreSettings, PolicySettings
from tests.core.task_shop import T0, Shop, record, tick
from tests.core.test_campaigns import OPEN, START, armed, at, reasons, sent, shop

MIDNIGHT = START - START % DAY_MS
SHIPPED = PolicySettings()
ITEMS = 600


def shown(made: Shop, user: str = "ann") -> list[tuple[str, list[str]]]:
    return [(candidate.campaign, [item.id for item in candidate.items]) for candidate in sent(made, user)]


def wide(*names: str) -> Shop:
    """A shop of so many items that few of them are proposed to anybody."""
    made, rng = Shop(CoreSettings(policy=OPEN, campaigns=load(CampaignSettings(on=names)))), Random(1)
    records = []
    for n in range(3000):
        item = rng.randrange(ITEMS)
        said = {"item": f"item-{item}", "price": 5.0 + item, "category": f"category-{item % 30}"}
        kind = rng.choice(["view", "view", "view", "cart", "purchase"])
        records.append(record(f"user-{rng.randrange(150)}", kind, T0 + n * 20_000, id=str(n), offset=n, **said))
    made.run(records)
    made.publish()
    made.run([tick(START)])
    made.total.candidates.clear()
    made.total.decisions.clear()
    return made


# --- turns


def cheaper_and_left(quiet: dict[str, Any] | None) -> Shop:
    """Something looked at gets cheaper while something else lies in the cart, both to be told at one moment."""
    made = shop("cart-reminder", "price-drop", policy=SHIPPED)
    made.catalog("item-3", title="Thing 3", price=100.0, stock=1)
    if quiet:
        made.step([record("ann", "preferences", START, preferences=quiet)])
    begin = MIDNIGHT + DAY_MS + 23 * HOUR_MS
    made.step([record("ann", "view", begin, item="item-3"), record("ann", "cart", begin + 1, item="item-5")])
    made.catalog("item-3", title="Thing 3", price=50.0, stock=1)
    made.step([tick(begin + HOUR_MS // 2, made.index.changes.position)])
    for minutes in range(31, 14 * 60, 5):
        made.step([tick(begin + minutes * 60_000)])
    return made


@pytest.mark.parametrize("quiet", [None, {"quiet_hours": ["22:00", "08:00"]}])
def test_of_two_that_are_due_at_one_moment_the_other_has_its_turn_when_there_is_room(quiet: Any) -> None:
    """By day, and at the end of quiet hours, which is when all that was deferred is due."""
    made = cheaper_and_left(quiet)
    pushes = sent(made)
    assert {push.campaign for push in pushes} == {"cart-reminder", "price-drop"}
    assert [push.items[0].id for push in sorted(pushes, key=lambda push: push.campaign)] == ["item-5", "item-3"]
    counted = Counter(reasons(made))
    assert sum(reason == "outbid" for _, reason in counted) == 1
    assert sum(n for (_, reason), n in counted.items() if reason == "sent") == 2
    assert armed(made) == ()


def test_who_was_sent_does_not_ask_again_and_who_was_bought_from_is_left_alone() -> None:
    """The winner's turn is over; the loser's is taken back by what would have taken it back before."""
    made = shop("cart-reminder", "price-drop", policy=SHIPPED)
    made.catalog("item-3", title="Thing 3", price=100.0, stock=1)
    made.step([record("ann", "view", at(0), item="item-3"), record("ann", "cart", at(0), item="item-5")])
    made.catalog("item-3", title="Thing 3", price=50.0, stock=1)
    made.step([tick(at(30), made.index.changes.position)])
    made.step([tick(at(30))])
    assert sorted(reason for _, reason in reasons(made)) == ["outbid", "sent"]
    assert len(armed(made)) == 2
    made.step([record("ann", "purchase", at(40), items=[{"id": "item-3"}, {"id": "item-5"}])])
    made.step([tick(at(90))])
    assert len(sent(made)) == 1
    assert len(reasons(made)) == 2
    assert armed(made) == ()


def test_without_a_gap_between_pushes_the_best_of_a_moment_is_all_there_is() -> None:
    """Nothing keeps them apart, so a second would come at once."""
    made = shop("cart-reminder", "price-drop")
    made.catalog("item-3", title="Thing 3", price=100.0, stock=1)
    made.step([record("ann", "view", at(0), item="item-3"), record("ann", "cart", at(0), item="item-5")])
    made.catalog("item-3", title="Thing 3", price=50.0, stock=1)
    made.step([tick(at(30), made.index.changes.position)])
    made.step([tick(at(30))])
    made.step([tick(at(31))])
    assert sorted(reason for _, reason in reasons(made)) == ["outbid", "sent"]
    assert armed(made) == ()


# --- a campaign's own items


@pytest.mark.parametrize("between", ["nothing", "a list of forty", "forty looked at", "came late"])
def test_what_lies_in_the_cart_is_brought_up_whatever_else_was_looked_at(between: str) -> None:
    """In a shop of many items, of which few are proposed to anybody."""
    made = wide("cart-reminder")
    others = [f"item-{300 + n}" for n in range(40)]
    records = [record("ann", "cart", at(0), item="item-7")]
    if between == "a list of forty":
        records.append(record("ann", "list_view", at(5), items=[{"id": other} for other in others]))
    elif between == "forty looked at":
        records += [record("ann", "view", at(1 + n / 4), item=other) for n, other in enumerate(others)]
    elif between == "came late":
        records.insert(0, record("ann", "view", at(1), item=others[0]))
    made.step(records)
    made.step([tick(at(60))])
    assert shown(made) == [("cart-reminder", ["item-7"])]


def test_a_page_of_a_list_takes_no_place_from_what_was_looked_at() -> None:
    """What is in the cart is watched still, though forty others were listed since."""
    made = wide("price-drop")
    made.catalog("item-7", title="Thing 7", price=100.0, stock=1)
    listed = [{"id": f"item-{300 + n}"} for n in range(40)]
    made.step([record("ann", "cart", at(0), item="item-7"), record("ann", "list_view", at(5), items=listed)])
    made.catalog("item-7", title="Thing 7", price=50.0, stock=1)
    made.step([tick(at(15), made.index.changes.position)])
    made.step([tick(at(15))])
    assert shown(made) == [("price-drop", ["item-7"])]


def test_what_is_bought_again_and_again_is_brought_up_when_it_is_left_in_the_cart() -> None:
    """A grocery's shopper has bought it before; what was bought since is the shopper's."""
    made = shop("cart-reminder")
    made.step([record("ann", "purchase", at(0) - 20 * DAY_MS, item="item-1")])
    made.step([record("ann", "cart", at(0), item="item-1"), tick(at(30))])
    assert shown(made) == [("cart-reminder", ["item-1"])]


@pytest.mark.parametrize(("again", "told"), [("cart", True), ("wishlist", True), ("view", False)])
def test_news_of_what_the_shopper_has_are_told_only_where_it_is_wanted_again(again: str, told: bool) -> None:
    """To look at it once more is not enough: who has just bought something looks where it is."""
    made = shop("price-drop")
    made.catalog("item-1", title="Thing 1", price=100.0, stock=1)
    made.step(
        [record("ann", "purchase", at(0), item="item-1"), record("ann", again, at(5), item="item-1", price=100.0)]
    )
    made.catalog("item-1", title="Thing 1", price=50.0, stock=1)
    made.step([tick(at(10), made.index.changes.position)])
    made.step([tick(at(10))])
    assert reasons(made) == [("price-drop", "sent" if told else "bought")]


def test_what_was_bought_and_only_looked_at_since_is_not_brought_up() -> None:
    """A purchase takes its items out of such a timer, whether or not the campaign's file says so."""
    text = '[triggers]\non = ["cart"]\nafter = "30m"\n[items]\nlist = "trigger"\n[message]\ntemplate = "mine.v1"\n'
    made = Shop(CoreSettings(policy=OPEN, campaigns=(read_campaign("mine", tomllib.loads(text), "mine.toml"),)))
    made.step([record("ann", "cart", at(0), item="item-1"), record("ann", "purchase", at(10), item="item-1")])
    made.step([record("ann", "view", at(11), item="item-1"), record("ann", "cart", at(12), item="item-2")])
    made.publish()
    made.step([tick(at(60))])
    assert shown(made) == [("mine", ["item-2"])]


def test_a_cart_that_is_read_after_a_newer_one_is_brought_up_along_with_it() -> None:
    """The newer one says when."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(2), item="item-2"), record("ann", "cart", at(0), item="item-1")])
    made.step([tick(at(31.9))])
    assert sent(made) == []
    made.step([tick(at(32))])
    assert {item.id for push in sent(made) for item in push.items} == {"item-1", "item-2"}


def test_an_order_takes_back_the_reminder_of_a_phone_whose_clock_is_fast() -> None:
    """The cart came from the phone, four minutes ahead, and two minutes later the order from elsewhere."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(4), item="item-1", timestamp=at(0))])
    made.step([record("ann", "purchase", at(2), item="item-1"), tick(at(60))])
    assert (sent(made), armed(made)) == ([], ())


# --- news that were not told


def test_a_price_that_rose_again_before_it_was_told_is_news_when_it_falls_once_more() -> None:
    """It fell at night, and was as before in the morning: nobody was told."""
    made = shop("price-drop")
    quiet = {"quiet_hours": ["22:00", "08:00"]}
    made.catalog("item-1", title="Thing 1", price=100.0, stock=1)
    made.step([record("ann", "preferences", START, preferences=quiet), record("ann", "view", at(0), item="item-1")])
    night = MIDNIGHT + 2 * DAY_MS
    for hour, price in ((2, 80.0), (4, 100.0), (8, 100.0), (12, 80.0)):
        made.catalog("item-1", title="Thing 1", price=price, stock=1)
        made.step([tick(night + hour * HOUR_MS, made.index.changes.position)])
        made.step([tick(night + hour * HOUR_MS + 1)])
    assert reasons(made) == [("price-drop", "quiet_hours"), ("price-drop", "no_candidates"), ("price-drop", "sent")]
    assert [(c.template.vars["price_was"], c.template.vars["price"]) for c in sent(made)] == [("100.00", "80.00")]


# --- what is bought again


def test_what_waits_to_be_bought_again_does_not_give_way_to_what_was_bought_since() -> None:
    """Due at night, it waits for the morning, and something else is bought before."""
    made = shop("buy-again")
    made.step([record("ann", "preferences", START, preferences={"quiet_hours": ["22:00", "08:00"]})])
    evening = MIDNIGHT + 23 * HOUR_MS
    for day in (1, 11, 21):
        made.step([record("ann", "purchase", evening + day * DAY_MS, item="item-4")])
        made.step([record("ann", "purchase", evening + (day - 1) * DAY_MS + 1, item="item-9", id=f"other-{day}")])
    made.step([tick(evening + 31 * DAY_MS)])
    assert reasons(made)[-1] == ("buy-again", "quiet_hours")
    made.step([record("ann", "purchase", evening + 31 * DAY_MS + 8 * HOUR_MS, item="item-9")])
    made.step([tick(evening + 31 * DAY_MS + 9 * HOUR_MS)])
    assert shown(made)[-1:] == [("buy-again", ["item-4"])]
