"""Coupons: to whom they make a difference, for no more than the budget; in stories and over any order of events."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.campaigns.budget import NOTHING, left, part, spend
from streamer.core.campaigns.campaign import NEXT, Coupon, Listing, Triggers
from streamer.core.campaigns.read import CampaignError, read_campaign
from streamer.core.exactmath import log2
from streamer.core.index import ItemIndex
from streamer.core.models.logistic import Logistic
from streamer.core.partition import partition_of
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from streamer.core.uplift.features import NAMES, campaign_group
from streamer.core.uplift.model import CONVERSION, SHAPES, UPLIFT
from streamer.core.uplift_settings import UpliftSettings
from tests.core.task_shop import T0, Shop, browsing, record, tick
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.effects import Decision
    from streamer.core.record import Record

START = (T0 // DAY_MS + 30) * DAY_MS
OPEN = PolicySettings(
    per_hour=1000, per_day=1000, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0, fatigue_bits=0.0, try_share=0.0
)
UNMOVED = UpliftSettings(forward_ms=0)
"""All that a push sells is sold besides, so that what is worth it can be worked out by hand."""


def campaign(**coupon: Any) -> Campaign:
    """At once, on what is put into the cart; a coupon of one unit of money, by default."""
    tree = {
        "triggers": {"on": ["cart"]},
        "items": {"least_score": 0.0},
        "coupon": {"id": "ONE-OFF", "cost": 1.0, "budget": 1000.0} | coupon,
        "message": {"template": "give.v1"},
    }
    return read_campaign("give", tree, "give.toml")


def log_odds(p: float) -> float:
    return (log2(p) - log2(1.0 - p)) * 0.6931471805599453


@cache
def block(anyway: float, pushed: float, *, buyers: float = 0.0, name: str = "give") -> bytes:
    """A model by which all buy with these chances, more so who bought often; other campaigns change nothing."""
    before, after = log_odds(anyway), log_odds(pushed)
    names = SHAPES[CONVERSION].names
    # What a click carries weighs nothing here: the last of them stays 0.
    weights = np.zeros(len(names))
    weights[NAMES.index("always")], weights[NAMES.index("buyer")] = before, buyers
    weights[len(NAMES) + NAMES.index(f"campaign_{campaign_group(name):02d}")] = after - before
    return Logistic(names, weights, 0.0, version=1).block()


PERSUADABLE = block(0.05, 0.35, buyers=4.0)


@cache
def start() -> Shop:
    made = Shop(CoreSettings(policy=OPEN)).run(browsing(600, users=40, step_ms=1000))
    made.publish()
    return made


def shop(
    given_campaign: Campaign, model: bytes | None = PERSUADABLE, policy: PolicySettings = OPEN, **where: int
) -> Shop:
    made = Shop(CoreSettings(policy=policy, campaigns=(given_campaign,), uplift=UNMOVED), start().index, **where)
    if model is not None:
        assert made.uplift.apply(UPLIFT + CONVERSION, model)
    return made


def cart(user: str, time: int = START, item: str = "item-1", price: float = 6.0) -> Record:
    return record(user, "cart", time, item=item, price=price, id=f"{user}-{time}", offset=(time - T0) // 1000)


def purchases(user: str, count: int) -> list[Record]:
    times = [START - (count - n) * DAY_MS for n in range(count)]
    return [record(user, "purchase", time, item=f"item-{n + 10}", id=f"{user}-{n}") for n, time in enumerate(times)]


def decided(made: Shop, user: str) -> Decision:
    (decision,) = [each for each in made.total.decisions if each.user == user]
    return decision


def given_cents(made: Shop) -> int:
    return sum(each.coupon_cents for each in made.total.decisions)


def test_who_buys_with_a_coupon_and_not_without_gets_one_and_the_message_tells_it() -> None:
    """Its id and what it is worth; the decision tells what it may cost."""
    made = shop(campaign()).run([cart("ann")])
    (out,) = made.total.candidates
    assert {name: out.candidate.template.vars[name] for name in ("coupon", "discount")} == {
        "coupon": "ONE-OFF",
        "discount": "1.00",
    }
    decision = decided(made, "ann")
    assert (decision.reason, decision.coupon_cents) == ("sent", 100)
    assert decision.worth == pytest.approx(0.3 * 10 - 0.35 * 1, abs=0.05)


def test_who_would_buy_anyway_gets_none() -> None:
    """Eight purchases say so; however much a coupon would add, and even where things are tried to find out."""
    made = shop(campaign(), policy=replace(OPEN, try_share=1.0)).run([*purchases("bea", 8), cart("bea")])
    assert decided(made, "bea").reason == "buys_anyway"
    assert made.total.candidates == []
    assert made.spent == {}


@pytest.mark.parametrize("pushed", [0.05, 0.03])
def test_who_does_not_buy_with_it_either_gets_none(pushed: float) -> None:
    """A lost cause, and a sleeping dog."""
    made = shop(campaign(), block(0.05, pushed)).run([cart("ann")])
    assert decided(made, "ann").reason == "no_gain"


def test_a_coupon_that_costs_more_than_it_brings_is_not_given() -> None:
    """What is gained is the difference, what is paid is paid for all who buy: 0.1 · 10 against 0.3 · 4."""
    for cost, reason in ((3.0, "sent"), (4.0, "no_gain")):
        made = shop(campaign(cost=cost), block(0.2, 0.3)).run([cart("ann")])
        assert decided(made, "ann").reason == reason


@pytest.mark.parametrize("worth_by", ["uplift", "score"])
def test_an_untaught_model_gives_nothing_away_but_for_what_is_tried(worth_by: Any) -> None:
    """Its prior hopes that pushes help; that is no evidence. What is tried has that chance in its propensity."""
    policy = replace(OPEN, worth_by=worth_by)
    made = shop(campaign(), None, policy).run([cart("ann")])
    assert decided(made, "ann").reason == "no_gain"
    users = [f"user-{n}" for n in range(40)]
    tries = shop(campaign(), None, replace(policy, try_share=0.25)).run([cart(user) for user in users])
    sent = [each for each in tries.total.decisions if each.reason == "sent"]
    assert 2 <= len(sent) <= 20
    assert {each.propensity for each in sent} == {0.25}


def test_a_share_of_what_is_bought_counts_with_all_that_it_may_cost() -> None:
    """However little was in the cart as it was sent: what it is redeemed with nobody knows."""
    index = ItemIndex()
    assert index.apply_catalog("priced", b'{"title": "Priced", "price": 6.05}')
    assert index.apply_catalog("bare", b'{"title": "Bare"}')
    share = msgspec.structs.replace(campaign(), coupon=Coupon("x", percent=10, most_cents=250, budget_cents=1000))
    made = Shop(CoreSettings(policy=replace(OPEN, slate_items=1), campaigns=(share,), uplift=UNMOVED), index)
    assert made.uplift.apply(UPLIFT + CONVERSION, PERSUADABLE)
    made.run([record("ann", "cart", START, item="priced"), record("bea", "cart", START, item="bare")])
    assert [decided(made, user).coupon_cents for user in ("ann", "bea")] == [250, 250]
    words = made.total.candidates[0].candidate.template.vars
    assert (words["discount"], words["discount_at_most"]) == ("10%", "2.50")
    # 0.3 more buy, for 10 each; of 0.35 that do the discount is paid: of 6.05, and of nobody knows what.
    gains = [decided(made, user).worth for user in ("ann", "bea")]
    assert gains == pytest.approx([3 - 0.35 * 0.61, 3 - 0.35 * 2.5], abs=0.05)


def test_what_a_share_of_a_cart_is_expected_to_cost_is_of_all_that_is_in_it() -> None:
    """Up to the most that it may be."""
    index = ItemIndex()
    for n in range(3):
        assert index.apply_catalog(f"item-{n}", b'{"title": "Thing", "price": 10.00}')
    share = msgspec.structs.replace(
        campaign(),
        triggers=Triggers(on=("cart",), after_ms=HOUR_MS),
        listing=Listing("trigger"),
        coupon=Coupon("x", percent=10, most_cents=250, budget_cents=10000),
    )
    made = Shop(CoreSettings(policy=replace(OPEN, slate_items=1), campaigns=(share,), uplift=UNMOVED), index)
    assert made.uplift.apply(UPLIFT + CONVERSION, PERSUADABLE)
    for user, items in (("ann", 1), ("bea", 2), ("cat", 3)):
        lines = [{"id": f"item-{n}"} for n in range(items)]
        made.run([record(user, "cart", START, items=lines, id=user)])
    made.run([tick(START + HOUR_MS)])
    gains = [decided(made, user).worth for user in ("ann", "bea", "cat")]
    assert gains == pytest.approx([3 - 0.35 * cost for cost in (1.0, 2.0, 2.5)], abs=0.1)


def test_a_spent_budget_says_so_and_the_next_day_has_its_own() -> None:
    """Two a day; the fifth shopper comes after midnight, UTC."""
    made = shop(campaign(budget_per_day=2.50))
    made.run([cart(f"user-{n}", START + n * HOUR_MS) for n in range(4)] + [cart("eva", START + DAY_MS)])
    assert made.reasons() == ["sent", "sent", "over_budget", "over_budget", "sent"]
    assert made.spent["give"].day_cents == 100
    assert made.spent["give"].cents == 300


def test_who_is_held_back_to_compare_with_costs_nothing() -> None:
    """A control group gets no coupon, so none is paid for."""
    held = msgspec.structs.replace(campaign(budget=3.0), control_share=0.5)
    made = shop(held).run([cart(f"user-{n}") for n in range(20)])
    assert made.reasons().count("sent") == 3
    assert "control" in made.reasons()
    assert given_cents(made) == 300


def test_where_the_coupon_is_not_given_another_campaign_may_speak() -> None:
    """One occasion: the coupon is worth more, until it is over budget."""
    assert campaign_group("give") != campaign_group("next")
    both = CoreSettings(policy=replace(OPEN, least_worth=-1.0), campaigns=(campaign(budget=1.0), NEXT))
    made = Shop(both, start().index)
    assert made.uplift.apply(UPLIFT + CONVERSION, PERSUADABLE)
    made.run([cart("ann"), cart("bea")])
    reasons = {(each.user, each.campaign): each.reason for each in made.total.decisions}
    assert reasons == {
        ("ann", "give"): "sent",
        ("ann", "next"): "outbid",
        ("bea", "give"): "over_budget",
        ("bea", "next"): "sent",
    }


events = st.lists(
    st.tuples(
        st.integers(0, 11),
        st.sampled_from([0, MINUTE_MS, HOUR_MS, 5 * HOUR_MS, DAY_MS, -2 * HOUR_MS]),
        st.integers(0, 11),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=examples(25))
@given(events, st.sets(st.integers(1, 39), max_size=8), st.integers(1, 3), st.data())
def test_the_budget_is_never_exceeded_under_any_order_of_events_and_any_cut(
    steps: list[tuple[int, int, int]], cuts: set[int], partitions: int, data: st.DataObject
) -> None:
    """Over all tasks, each day and in all; late events and ticks among them; and where the cuts are does not matter."""
    day_cents, cents, percent = (data.draw(st.integers(1, 900)) for _ in range(3))
    coupon = Coupon("x", percent=percent % 40 + 1, budget_cents=cents * 2, day_cents=day_cents)
    give = msgspec.structs.replace(campaign(), coupon=coupon)
    times, records = START, list[tuple[str, Any]]()
    for n, (user, wait, item) in enumerate(steps):
        times += max(wait, 0)
        name = f"user-{user}"
        one = record(name, "cart", times + min(wait, 0), item=f"item-{item}", id=str(n), timestamp=times, offset=n)
        records.append((name, one))
    by_day: dict[int, int] = {}
    total = 0
    for partition in range(partitions):
        mine = [
            msgspec.structs.replace(one, partition=partition)
            for name, one in records
            if partition_of(name, partitions) == partition
        ]
        whole, cut = (shop(give, partition=partition, partitions=partitions) for _ in range(2))
        ticks = [tick(START + n * DAY_MS) for n in range(3)]
        whole.run([*mine, *ticks])
        cut.run([*mine, *ticks], {at for at in cuts if at < len(mine)})
        assert cut.result() == whole.result()
        for out, decision in zip(whole.total.candidates, sent_of(whole), strict=True):
            day = out.candidate.decided_at[:10]
            by_day[hash(day)] = by_day.get(hash(day), 0) + decision.coupon_cents
        total += given_cents(whole)
    assert total <= coupon.budget_cents
    assert max(by_day.values(), default=0) <= coupon.day_cents


def sent_of(made: Shop) -> Sequence[Decision]:
    return [each for each in made.total.decisions if each.reason == "sent"]


@given(st.integers(0, 10**9), st.integers(1, 200))
def test_the_parts_of_all_tasks_are_the_budget_to_the_cent(cents: int, partitions: int) -> None:
    """And no two of them differ by more than one."""
    parts = [part(cents, n, partitions) for n in range(partitions)]
    assert sum(parts) == cents
    assert max(parts) - min(parts) <= 1


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(0, DAY_MS)), max_size=50), st.integers(1, 999))
def test_what_is_left_is_what_was_not_spent(given_steps: list[tuple[int, int]], day_cents: int) -> None:
    """Against plain sums by day, of whoever spends no more than is left."""
    coupon, spent, now_ms = Coupon("x", cents=1, day_cents=day_cents, budget_cents=2000), NOTHING, START
    by_day: dict[int, int] = {}
    for cents, wait_ms in given_steps:
        now_ms += wait_ms
        day = now_ms // DAY_MS
        rest = left(spent, coupon, now_ms, partition=0, partitions=1)
        assert rest == min(day_cents - by_day.get(day, 0), 2000 - sum(by_day.values()))
        if cents <= rest:
            spent = spend(spent, cents, now_ms)
            by_day[day] = by_day.get(day, 0) + cents


@pytest.mark.parametrize(
    ("coupon", "told"),
    [
        ({"id": "two words"}, "coupon.id: 'two words' is no id"),
        ({"cost": -1}, "coupon.cost: -1 is no amount"),
        ({"cost": 0.005}, "coupon.cost: 0.005 is no whole number of cents"),
        ({"percent": 10}, "one of the two"),
        ({"percent": 101}, "coupon.percent: 101 is no whole number of per cent"),
        ({"anyway_at_most": 2}, "coupon.anyway_at_most: 2 is no share"),
    ],
)
def test_what_is_wrong_with_a_coupon_is_told(coupon: dict[str, Any], told: str) -> None:
    """With its key."""
    with pytest.raises(CampaignError, match=told.replace(".", r"\.")):
        campaign(**coupon)


def test_a_coupon_needs_a_budget() -> None:
    """Of a day or in all."""
    tree = {"triggers": {"on": ["cart"]}, "message": {"template": "x"}, "coupon": {"id": "x", "cost": 1}}
    with pytest.raises(CampaignError, match=r"coupon\.budget"):
        read_campaign("give", tree, "give.toml")


def test_all_campaigns_are_those_without_coupons_and_a_coupon_is_switched_on_by_its_name() -> None:
    """Nobody gives away money by a word that meant something else."""
    assert not [each.name for each in load(CampaignSettings(on=("all",))) if each.coupon is not None]
    assert "cart-coupon" in [each.name for each in load(CampaignSettings(on=("all", "cart-coupon")))]
    assert "cart-coupon" not in [
        each.name for each in load(CampaignSettings(on=("all", "cart-coupon"), off=("cart-coupon",)))
    ]


def test_the_shipped_coupon_comes_half_a_day_after_the_cart_and_not_to_who_has_bought() -> None:
    """Ten per cent, and ten at most."""
    (shipped,) = load(CampaignSettings(on=("cart-coupon",)))
    made = shop(msgspec.structs.replace(shipped, control_share=0.0), block(0.02, 0.6, name="cart-coupon"))
    made.run([cart("ann"), cart("bea")])
    made.run([record("bea", "purchase", START + HOUR_MS, item="item-1"), tick(START + 12 * HOUR_MS)])
    assert [(each.user, each.reason) for each in made.total.decisions] == [("ann", "sent")]
    assert decided(made, "ann").coupon_cents == 1000
