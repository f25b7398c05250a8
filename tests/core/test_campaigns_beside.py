"""Campaigns beside one another, on the policy as it is shipped: what one of them sent, and what came in between."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.campaigns.campaign import Audience
from streamer.core.settings import DAY_MS, HOUR_MS, CoreSettings, PolicySettings
from tests.core.task_shop import T0, Shop, record, tick
from tests.core.test_campaigns import OPEN, START, armed, at, reasons, sent, shop

MIDNIGHT = START - START % DAY_MS
SHIPPED = PolicySettings()


def usual(*names: str, policy: PolicySettings = SHIPPED) -> Shop:
    """A shop with these campaigns on and the policy that is shipped, or another."""
    return shop(*names, policy=policy)


def shown(made: Shop, user: str = "ann") -> list[tuple[str, list[str]]]:
    return [(candidate.campaign, [item.id for item in candidate.items]) for candidate in sent(made, user)]


def test_a_cart_is_brought_up_also_where_another_push_came_just_before() -> None:
    """It waits until the hour has room again, and shows what that push may have shown."""
    made = usual("next", "cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1", category="category-1")])
    assert [campaign for campaign, _ in shown(made)] == ["next"]
    made.step([tick(at(30))])
    assert reasons(made)[-1] == ("cart-reminder", "hour_cap")
    made.step([tick(at(59.9)), tick(at(60))])
    assert shown(made)[1:] == [("cart-reminder", ["item-1"])]


def test_a_purchase_takes_back_what_waits_for_room() -> None:
    """As it would have before."""
    made = usual("next", "cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1"), tick(at(30))])
    made.step([record("ann", "purchase", at(40), item="item-1"), tick(at(60)), tick(at(600))])
    assert [campaign for campaign, _ in shown(made)] == ["next"]


def test_what_has_waited_for_room_and_finds_none_again_is_dropped() -> None:
    """Another push came first: so a timer cannot go round for ever."""
    made = usual("next", "cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1"), tick(at(30))])
    made.step([record("ann", "view", at(60), item="item-2"), tick(at(60))])
    assert [campaign for campaign, _ in shown(made)] == ["next", "next"]
    assert reasons(made)[-1] == ("cart-reminder", "min_gap")
    assert armed(made) == ()


def test_what_would_be_out_of_date_by_then_does_not_wait_for_room() -> None:
    """A day's pushes are spent, and a search is answered within three hours or not at all."""
    made = usual("next", "search-help", policy=PolicySettings(per_day=1))
    made.step([record("ann", "view", at(0), item="item-1"), record("ann", "search", at(1), query="thing 3")])
    made.step([tick(at(11))])
    assert reasons(made)[-1] == ("search-help", "min_gap")
    assert armed(made) == ()


def test_every_cart_that_is_left_is_brought_up_with_all_campaigns_on() -> None:
    """Of shoppers who looked at four things first, and were pushed something on the way."""
    made, rng = usual("all"), Random(1)
    records = []
    for n in range(30):
        begin = at(rng.random() * 300)
        for step in range(5):
            kind, item = ("cart" if step == 4 else "view"), f"item-{rng.randrange(12)}"
            records.append(record(f"user-{n}-left", kind, begin + step * 90_000, item=item, id=f"{n}-{step}"))
    ticks = [tick(at(minute)) for minute in range(1, 480, 3)]
    made.run(sorted([*records, *ticks], key=lambda each: each.timestamp))
    left = [out.candidate for out in made.total.candidates if out.candidate.user_id.endswith("-left")]
    assert Counter(candidate.campaign for candidate in left)["cart-reminder"] == 30


def test_a_price_that_fell_is_told_though_the_item_was_proposed_before_but_not_told_again() -> None:
    """News of what the shopper looked at is no repetition of a proposal; a second one of the campaign's own is."""
    made = usual("next", "price-drop")
    made.catalog("item-1", price=100.0, stock=1)
    made.step([record("ann", "cart", at(0), item="item-1", price=100.0)])
    assert shown(made)[0][0] == "next"
    assert "item-1" in shown(made)[0][1]
    for day, price in ((2, 50.0), (4, 20.0)):
        made.catalog("item-1", price=price, stock=1)
        made.step([tick(START + day * DAY_MS, made.index.changes.position)])
        made.step([tick(START + day * DAY_MS)])
    assert shown(made)[1:] == [("price-drop", ["item-1"])]
    assert ("price-drop", "repeat") in reasons(made)


def test_a_checkout_that_was_not_finished_is_brought_up() -> None:
    """Half an hour after it; it takes nothing back, as nothing was bought."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1"), record("ann", "checkout", at(5), topic="purchase")])
    made.step([tick(at(34.9))])
    assert sent(made) == []
    made.step([tick(at(35))])
    assert shown(made) == [("cart-reminder", ["item-1"])]


def test_who_came_back_in_quiet_hours_is_not_asked_back_at_their_end() -> None:
    """The silence is over; what waits is as far off as the next one."""
    made = shop("win-back", audience=Audience())
    quiet = {"quiet_hours": ["22:00", "07:00"]}
    made.step([record("ann", "preferences", START, preferences=quiet)])
    for day in (1, 5, 9):
        made.step([record("ann", "view", MIDNIGHT + day * DAY_MS + 23 * HOUR_MS, item="item-1")])
    made.step([tick(MIDNIGHT + 17 * DAY_MS + 23 * HOUR_MS)])
    assert reasons(made) == [("win-back", "quiet_hours")]
    back = MIDNIGHT + 18 * DAY_MS + HOUR_MS
    made.step([record("ann", "view", back, item="item-2"), record("ann", "purchase", back + HOUR_MS, item="item-2")])
    made.step([tick(MIDNIGHT + 18 * DAY_MS + 7 * HOUR_MS)])
    assert reasons(made)[1:] == []
    (timer,) = armed(made)
    assert timer.due_ms > back + 7 * DAY_MS


@pytest.mark.parametrize(
    ("campaign", "first", "late"),
    [
        ("cart-reminder", ("purchase", 5, {"item": "item-1"}), ("cart", 0, {"item": "item-2"})),
        ("cart-reminder", ("remove_from_cart", 1, {"item": "item-1"}), ("cart", 0, {"item": "item-1"})),
        ("search-help", ("view", 1, {"item": "item-1"}), ("search", 0, {"query": "thing 3"})),
    ],
)
def test_an_event_that_was_overtaken_by_what_would_take_its_timer_back_arms_none(
    campaign: str, first: tuple[str, int, dict[str, str]], late: tuple[str, int, dict[str, str]]
) -> None:
    """It has been folded before."""
    made = shop(campaign)
    for kind, minutes, data in (first, late):
        made.step([record("ann", kind, at(minutes), **data)])
    made.step([tick(at(60))])
    assert reasons(made) == []


def test_a_cart_that_comes_a_little_late_is_brought_up_all_the_same() -> None:
    """A page that was looked at after it was told of first: no reason to lose the reminder."""
    made = shop("cart-reminder")
    made.step([record("ann", "view", at(1), item="item-1"), record("ann", "cart", at(0), item="item-1")])
    made.step([tick(at(30))])
    assert shown(made) == [("cart-reminder", ["item-1"])]


@pytest.mark.parametrize(("again", "items"), [(False, ["item-2"]), (True, ["item-1", "item-2"])])
def test_what_was_taken_out_of_the_cart_is_not_brought_up_though_it_is_told_late(
    *, again: bool, items: list[str]
) -> None:
    """Unless it was put in again since."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1")])
    if again:
        made.step([record("ann", "cart", at(8), item="item-1")])
    made.step([record("ann", "cart", at(10), item="item-2")])
    made.step([record("ann", "remove_from_cart", at(5), topic="purchase", item="item-1"), tick(at(60))])
    assert [sorted(shown_items) for _, shown_items in shown(made)] == [items]


@pytest.mark.parametrize("views", [0, 3, 9])
def test_what_goes_with_a_purchase_goes_with_that_purchase(views: int) -> None:
    """Whatever the shopper looks at afterwards."""
    made = Shop(CoreSettings(policy=OPEN, campaigns=load(CampaignSettings(on=("goes-with",)))))
    for n in range(60):
        pair = ("camera", "sd-card") if n % 2 else ("tent", "stove")
        lines = [{"id": item, "title": item, "category": pair[0]} for item in pair]
        made.step([record(f"user-{n}", "purchase", T0 + n * 1000, items=lines)])
    made.publish()
    made.step([record("ann", "purchase", at(0), item="camera")])
    made.step([record("ann", "view", at(1) + n * 1000, item="tent", id=f"v{n}") for n in range(views)])
    made.step([record("ann", "view", at(2) + n * 1000, item=f"user-{n}") for n in range(views)])
    made.step([tick(at(120))])
    assert shown(made) == [("goes-with", ["sd-card"])]


def test_what_goes_with_a_purchase_that_nobody_knows_is_not_guessed_from_something_else() -> None:
    """The item is in no catalog yet, and what was looked at before has complements."""
    made = Shop(CoreSettings(policy=OPEN, campaigns=load(CampaignSettings(on=("goes-with",)))))
    for n in range(40):
        lines = [{"id": item, "title": item} for item in ("tent", "stove")]
        made.step([record(f"user-{n}", "purchase", T0 + n * 1000, items=lines)])
    made.publish()
    made.step([record("ann", "view", at(-1), item="tent"), record("ann", "purchase", at(0), item="of-today")])
    made.step([tick(at(120))])
    assert reasons(made) == [("goes-with", "no_candidates")]


def test_a_search_is_answered_also_after_quiet_hours() -> None:
    """It is the search that armed the timer, however long ago the session was."""
    made = shop("search-help")
    made.step([record("ann", "preferences", at(-60), preferences={"quiet_hours": ["22:00", "07:00"]})])
    evening = MIDNIGHT + 22 * HOUR_MS
    made.step([record("ann", "search", evening, query="thing 3"), tick(evening + HOUR_MS)])
    made.step([tick(MIDNIGHT + DAY_MS + 7 * HOUR_MS)])
    assert reasons(made) == [("search-help", "quiet_hours"), ("search-help", "sent")]
    assert all(item.generator == "search" for item in sent(made)[0].items)


def test_the_fast_clock_of_one_phone_fires_nobody_elses_timers() -> None:
    """Stream time goes by the producers' clocks, where a device says it is later than that."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1")])
    made.step([record("bob", "view", at(30), item="item-2", timestamp=at(26))])
    assert made.total.now == at(26)
    made.step([tick(made.total.now), record("ann", "purchase", at(27), item="item-1"), tick(at(31))])
    assert sent(made) == []


@pytest.mark.parametrize("kind", ["push_opened", "preferences"])
def test_what_is_read_ahead_of_a_backlog_fires_no_timer(kind: str) -> None:
    """After an outage feedback and preferences of an hour are there before the order of which the timer is to hear."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1")])
    said = {"preferences": {"consent": True}} if kind == "preferences" else {"candidate_id": "0" * 32}
    made.step([record("bea", kind, at(60), **said)])
    assert made.total.now == at(0)
    made.step([record("ann", "purchase", at(20), item="item-1"), record("bea", "view", at(61), item="item-2")])
    made.step([tick(made.total.now)])
    assert (sent(made), armed(made)) == ([], ())
