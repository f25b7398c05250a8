"""Campaigns as they are shipped: each tells a story of one shopper, by events and ticks, and of what is sent."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load, shipped
from streamer.core.campaigns.campaign import Audience
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from tests.core.task_shop import T0, Shop, browsing, record, tick
from tests.examples import examples

if TYPE_CHECKING:
    from streamer.core.effects import Candidate
    from streamer.core.policy.state import Armed
    from streamer.core.record import Record

START = T0 + 30 * DAY_MS
#: What is not the subject here must not come in between.
OPEN = PolicySettings(per_hour=100, per_day=100, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0)


def shop(*names: str, audience: Audience | None = None, policy: PolicySettings = OPEN) -> Shop:
    """A shop in which items are known and others have browsed, with these campaigns on; for another ``audience``."""
    campaigns = load(CampaignSettings(on=names))
    if audience is not None:
        campaigns = tuple([msgspec.structs.replace(campaign, audience=audience) for campaign in campaigns])
    made = Shop(CoreSettings(policy=policy, campaigns=campaigns))
    made.run(browsing(600, users=40))
    made.publish()
    made.run([tick(START)])
    made.total.candidates.clear()
    made.total.decisions.clear()
    return made


def sent(shop: Shop, user: str = "ann") -> list[Candidate]:
    return [out.candidate for out in shop.total.candidates if out.candidate.user_id == user]


def reasons(shop: Shop, user: str = "ann") -> list[tuple[str, str]]:
    return [(decision.campaign, decision.reason) for decision in shop.total.decisions if decision.user == user]


def armed(shop: Shop, user: str = "ann") -> tuple[Armed, ...]:
    (state,) = shop.policy.get_many([user])
    assert state is not None
    return state.armed


def at(minutes: float) -> int:
    return START + int(minutes * MINUTE_MS)


def test_thirty_minutes_after_the_last_cart_event_without_a_purchase_the_cart_is_brought_up() -> None:
    """Each thing put in moves it; what it shows is what is in the cart; it comes once."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1"), record("ann", "cart", at(20), item="item-2")])
    made.step([tick(at(30)), tick(at(49.9))])
    assert sent(made) == []

    made.step([tick(at(50))])
    (candidate,) = sent(made)
    assert candidate.campaign == "cart-reminder"
    assert {item.id for item in candidate.items} == {"item-1", "item-2"}
    assert (candidate.trigger.type, candidate.trigger.event_id) == ("cart", f"cart-{at(20)}")
    assert candidate.template.id == "cart-reminder.v1"
    made.step([tick(at(24 * 60))])
    assert len(sent(made)) == 1


def test_a_purchase_takes_the_cart_reminder_back() -> None:
    """Also one that comes in the very batch of the tick."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1")])
    made.step([record("ann", "purchase", at(29), item="item-1"), tick(at(30)), tick(at(600))])
    assert sent(made) == []
    assert armed(made) == ()


def test_what_is_taken_out_of_the_cart_is_not_brought_up() -> None:
    """Of two the other; of one nothing."""
    made = shop("cart-reminder")
    made.step([record("ann", "cart", at(0), item="item-1"), record("ann", "cart", at(1), item="item-2")])
    made.step([record("ann", "remove_from_cart", at(2), topic="purchase", item="item-2")])
    made.step([record("bea", "cart", at(3), item="item-3")])
    made.step([record("bea", "remove_from_cart", at(4), topic="purchase", item="item-3"), tick(at(60))])
    assert [[item.id for item in candidate.items] for candidate in sent(made)] == [["item-1"]]
    assert sent(made, "bea") == []


def test_a_search_after_which_nothing_is_looked_at_is_answered_and_one_that_led_somewhere_is_not() -> None:
    """Ten minutes later, with what fits the search."""
    made = shop("search-help")
    made.step([record("ann", "search", at(0), query="thing 3"), record("bea", "search", at(0), query="thing 3")])
    made.step([record("bea", "view", at(5), item="item-9"), tick(at(10))])
    (candidate,) = sent(made)
    assert candidate.campaign == "search-help"
    assert any(item.generator == "search" for item in candidate.items)
    assert sent(made, "bea") == []


def test_what_is_bought_again_and_again_is_brought_up_when_it_is_due() -> None:
    """Every ten days so far: ten days after the last time, though it was bought before."""
    made = shop("buy-again")
    for days in (0, 10, 20):
        made.step([record("ann", "purchase", START + days * DAY_MS, item="item-4")])
    made.step([tick(START + 30 * DAY_MS - 1)])
    assert sent(made) == []
    made.step([tick(START + 30 * DAY_MS)])
    assert [[item.id for item in candidate.items] for candidate in sent(made)] == [["item-4"]]
    made.step([record("bea", "purchase", START, item="item-4"), tick(START + 90 * DAY_MS)])
    assert sent(made, "bea") == []  # once is no rhythm


def test_who_stays_away_is_asked_back_and_who_comes_in_between_is_not_yet() -> None:
    """An event in between writes no timer: the silence is measured when it is due."""
    made = shop("win-back", audience=Audience())
    for day in (0, 5, 10):
        made.step([record("ann", "view", START + day * DAY_MS, item="item-1")])
    timers = armed(made)
    made.step([record("ann", "view", START + 12 * DAY_MS, item="item-2")])
    assert armed(made) == timers
    made.step([tick(START + 20 * DAY_MS - 1)])
    assert reasons(made) == []
    made.step([tick(START + 22 * DAY_MS)])  # two days late: four days between visits, twice, were over on the twentieth
    assert reasons(made) == [("win-back", "sent")]
    assert sent(made)[0].expires_at.startswith("2024-01-06")


def test_a_campaign_says_nothing_to_who_is_none_of_its_audience() -> None:
    """Untaught, nobody is foretold to stay away: the same shopper is not asked back then."""
    made = shop("win-back")
    made.step([record("ann", "view", START + day * DAY_MS, item="item-1") for day in (0, 4)])
    made.step([tick(START + 12 * DAY_MS)])
    assert reasons(made) == [("win-back", "audience")]


def test_campaigns_of_one_moment_compete_and_the_loser_says_so() -> None:
    """Two timers of one shopper that are due at once: one push, and whose it was not is told."""
    made = shop("cart-reminder", "search-help")
    made.step([record("ann", "cart", at(0), item="item-1"), record("ann", "search", at(20), query="thing 3")])
    made.step([tick(at(30))])
    assert sorted(reasons(made)) == [("cart-reminder", "sent"), ("search-help", "outbid")]
    assert [candidate.campaign for candidate in sent(made)] == ["cart-reminder"]


def story() -> list[Record]:
    """Forty shoppers over two weeks, on all campaigns, with a tick every six hours."""
    events = browsing(500, users=40, seed=3, step_ms=40 * MINUTE_MS)
    ticks = [tick(T0 + n * 6 * HOUR_MS) for n in range(1, 56)]
    return sorted([*events, *ticks], key=lambda record: record.timestamp)


@cache
def whole() -> bytes:
    return everything().run(story()).result()


def everything() -> Shop:
    made = Shop(CoreSettings(policy=OPEN, campaigns=load(CampaignSettings(on=("all",)))))
    made.run(browsing(300, users=40, step_ms=1000))
    made.publish()
    return made


@pytest.mark.slow
@settings(max_examples=examples(8))
@given(st.sets(st.integers(1, 554), max_size=30))
def test_timers_and_pushes_do_not_depend_on_where_a_batch_was_cut(cuts: set[int]) -> None:
    """With the same ticks in the same places: rows, candidates and decisions, byte for byte."""
    assert everything().run(story(), cuts).result() == whole()


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_campaign_says_what_it_is_and_can_be_switched_on_alone(name: str) -> None:
    """Its name is its file's."""
    (campaign,) = load(CampaignSettings(on=(name,)))
    assert campaign.name == name
    assert campaign.says
    assert campaign.message.template.startswith(f"{name}.v")
    assert load(CampaignSettings(on=("all",), off=(name,))) == tuple(
        other for other in load(CampaignSettings(on=("all",))) if other.name != name
    )
