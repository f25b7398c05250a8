"""News from the catalog: what a shopper looked at costs less, or can be had again."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from state.codecs import StructCodec
from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.campaigns import watching
from streamer.core.campaigns.watching import Watch, watch_key
from streamer.core.events import item_key
from streamer.core.policy.state import PolicyState
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, ProfileSettings
from streamer.core.timer_settings import TimerSettings
from tests.core.task_shop import T0, Shop, browsing, record, tick
from tests.core.test_campaigns import OPEN, armed, at, reasons, sent
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.core.record import Record

BOTH = ("price-drop", "back-in-stock")


def shop(*names: str, timers: TimerSettings | None = None, profile: ProfileSettings | None = None) -> Shop:
    """A shop whose catalog has twenty items of 100.00 in stock, with these campaigns on."""
    made = Shop(
        CoreSettings(
            policy=OPEN,
            campaigns=load(CampaignSettings(on=names)),
            timers=timers or TimerSettings(),
            profile=profile or ProfileSettings(),
        )
    )
    for n in range(20):
        made.catalog(f"item-{n}", title=f"Thing {n}", price=100.0, stock=3)
    made.run([tick(at(-1))])
    return made


def told(made: Shop, minutes: float) -> None:
    """The ticks that a task makes for a change of the catalog: one to tell of it, one for what is due by then."""
    made.step([tick(at(minutes), made.index.changes.position)])
    made.step([tick(at(minutes))])


def test_a_price_that_drops_on_an_item_in_the_cart_sends_one_push_with_the_old_and_the_new_price() -> None:
    """The push is about that item, and names the record of the catalog that it follows from."""
    made = shop("price-drop")
    made.step([record("ann", "cart", at(0), item="item-1", price=100.0), record("ann", "view", at(1), item="item-2")])
    offset = made.catalog("item-1", title="Thing 1", price=79.5, stock=3)
    told(made, 60)
    (candidate,) = sent(made)
    assert candidate.campaign == "price-drop"
    assert [item.id for item in candidate.items] == ["item-1"]
    words = candidate.template.vars
    assert (words["price_was"], words["price"], words["title"]) == ("100.00", "79.50", "Thing 1")
    trigger = candidate.trigger
    assert (trigger.type, trigger.topic, trigger.partition, trigger.offset) == ("price_drop", "catalog", 0, offset)
    told(made, 90)
    assert len(sent(made)) == 1
    assert reasons(made) == [("price-drop", "sent")]


def test_a_drop_is_told_once_and_the_next_one_counts_from_there() -> None:
    """Nine per cent of what was told of before are no news; ten are."""
    made = shop("price-drop")
    made.step([record("ann", "view", at(0), item="item-1")])
    for minutes, price in ((10, 80.0), (20, 80.0), (30, 73.0), (40, 90.0), (50, 80.0), (1560, 72.0)):
        made.catalog("item-1", price=price)
        told(made, minutes)
    assert [(c.template.vars["price_was"], c.template.vars["price"]) for c in sent(made)] == [
        ("100.00", "80.00"),
        ("80.00", "72.00"),
    ]


def test_many_small_steps_down_are_a_drop_once_they_add_up() -> None:
    """What counts is the price that the shopper saw."""
    made = shop("price-drop")
    made.step([record("ann", "view", at(0), item="item-1")])
    for minutes, price in enumerate((97.0, 94.0, 91.0, 90.01), 1):
        made.catalog("item-1", price=price)
        told(made, minutes)
    assert sent(made) == []
    made.catalog("item-1", price=90.0)
    told(made, 10)
    assert [candidate.template.vars["price_was"] for candidate in sent(made)] == ["100.00"]


def test_the_price_seen_is_the_less_of_what_the_event_and_the_catalog_said() -> None:
    """Nobody is told of a drop that either of them knows nothing of."""
    made = shop("price-drop")
    made.step([record("ann", "view", at(0), item="item-1", price=119.0)])
    made.step([record("bea", "view", at(0), item="item-1", price=85.0)])
    made.catalog("item-1", price=80.0)
    told(made, 5)
    assert [candidate.template.vars["price_was"] for candidate in sent(made)] == ["100.00"]
    assert sent(made, "bea") == []


def test_what_was_out_of_stock_and_can_be_had_again_is_told_to_who_looked_at_it() -> None:
    """Before or while it was out; not to who looks at it when it is back."""
    made = shop("back-in-stock")
    made.step([record("ann", "view", at(0), item="item-1")])
    made.catalog("item-1", price=100.0, stock=0)
    told(made, 5)
    made.step([record("bea", "cart", at(10), item="item-1"), record("cat", "view", at(10), item="item-2")])
    offset = made.catalog("item-1", price=100.0, stock=7)
    made.step([record("dan", "view", at(11), item="item-1")])
    told(made, 12)
    for user in ("ann", "bea"):
        (candidate,) = sent(made, user)
        assert (candidate.campaign, candidate.trigger.type) == ("back-in-stock", "back_in_stock")
        assert candidate.trigger.offset == offset
        assert [item.id for item in candidate.items] == ["item-1"]
    assert sent(made, "cat") == sent(made, "dan") == []
    told(made, 60)
    assert len(sent(made)) == 1


def test_a_price_that_drops_while_nothing_can_be_had_is_told_when_it_can() -> None:
    """With both campaigns on the shopper gets one push: they compete."""
    made = shop("price-drop", "back-in-stock")
    made.step([record("ann", "view", at(0), item="item-1")])
    made.catalog("item-1", price=100.0, stock=0)
    made.catalog("item-1", price=50.0, stock=0)
    told(made, 5)
    assert (sent(made), made.policy.rows) == ([], {})
    made.catalog("item-1", price=50.0, stock=1)
    told(made, 10)
    assert sorted(reasons(made)) == [("back-in-stock", "sent"), ("price-drop", "outbid")]


@pytest.mark.parametrize("moment", ["before the change", "before it is told", "before the push", "never"])
def test_a_purchase_takes_the_news_back(moment: str) -> None:
    """Whenever it comes before the push; the quiet hours hold back what is told in them."""
    made = shop("price-drop")
    quiet = {"quiet_hours": ["00:00", "23:59"]}
    made.step([record("ann", "preferences", at(0), preferences=quiet), record("ann", "cart", at(1), item="item-1")])
    buys = record("ann", "purchase", at(30), item="item-1")
    if moment == "before the change":
        made.step([buys])
    made.catalog("item-1", price=50.0)
    if moment == "before it is told":
        made.step([buys])
    told(made, 10)
    waits = moment in {"before the push", "never"}
    assert [timer.campaign for timer in armed(made)] == (["price-drop"] if waits else [])
    if moment == "before the push":
        made.step([buys])
    made.step([tick(at(106))])
    assert len(sent(made)) == (moment == "never")
    assert armed(made) == ()


def test_news_that_fall_into_quiet_hours_are_told_at_their_end_if_they_are_still_true() -> None:
    """With the price of before; of two items that of which the price has risen again is left out."""
    for rises in (False, True):
        made = shop("price-drop")
        said = {"quiet_hours": ["00:00", "23:30"]}
        made.step([record("ann", "preferences", at(0), preferences=said)])
        made.step([record("ann", "view", at(1), item="item-1"), record("ann", "view", at(2), item="item-2")])
        made.catalog("item-1", price=50.0)
        made.catalog("item-2", price=60.0)
        told(made, 10)
        assert reasons(made) == [("price-drop", "quiet_hours")]
        assert [timer.prices for timer in armed(made)] == [(10_000, 10_000)]
        if rises:
            made.catalog("item-1", price=99.0)
        made.step([tick(at(80))])
        (candidate,) = sent(made)
        assert {item.id for item in candidate.items} == ({"item-2"} if rises else {"item-1", "item-2"})
        assert candidate.template.vars["price_was"] == "100.00"
        assert candidate.trigger.event_id.startswith("item-2@")


def test_news_that_are_true_no_more_say_so_in_the_decision() -> None:
    """The price rose again between the tick that told of it and the one that fired."""
    made = shop("price-drop")
    made.step([record("ann", "view", at(0), item="item-1")])
    made.catalog("item-1", price=50.0)
    made.step([tick(at(1), made.index.changes.position)])
    made.catalog("item-1", price=100.0)
    made.step([tick(at(1))])
    assert reasons(made) == [("price-drop", "no_candidates")]


def test_who_looks_again_has_seen_the_new_price() -> None:
    """They need not be told, neither now nor of a rise that is taken back."""
    made = shop("price-drop")
    made.step([record("ann", "view", at(0), item="item-1")])
    made.catalog("item-1", price=80.0)
    made.step([record("ann", "view", at(1), item="item-1")])
    told(made, 2)
    made.catalog("item-1", price=100.0)
    made.catalog("item-1", price=80.0)
    told(made, 3)
    assert sent(made) == []


def test_what_was_looked_at_longer_ago_is_watched_no_more() -> None:
    """Two weeks for a price, a month for the stock; then the row goes when a change meets it."""
    made = shop(*BOTH)
    made.step([record("ann", "view", at(0), item="item-1")])
    made.catalog("item-1", price=50.0, stock=0)
    made.catalog("item-1", price=50.0, stock=1)
    made.step([tick(at(0) + 14 * DAY_MS, made.index.changes.position)])
    assert [timer.campaign for timer in armed(made)] == ["back-in-stock"]
    made.catalog("item-1", price=40.0, stock=1)
    assert len(made.watch.rows) == 1
    made.step([tick(at(0) + 30 * DAY_MS, made.index.changes.position)])
    assert made.watch.rows == {}


def test_a_shopper_watches_what_they_remember_and_no_more() -> None:
    """So the table is bounded by the profiles, and an erasure finds every row."""
    made = shop(*BOTH, profile=ProfileSettings(recent_items=4))
    for n in range(12):
        made.step([record("ann", "view", at(n), item=f"item-{n}"), record("bea", "view", at(n), item="item-1")])
    kept = [watch_key(item_key(f"item-{n}"), "ann") for n in range(8, 12)]
    assert set(made.watch.rows) == {*kept, watch_key(item_key("item-1"), "bea")}
    made.step([record("ann", "preferences", at(20), preferences={"erase": True})])
    assert set(made.watch.rows) == {watch_key(item_key("item-1"), "bea")}


@pytest.mark.parametrize("campaigns", [("next",), ("cart-reminder", "win-back")])
def test_without_such_a_campaign_nobody_watches_anything(campaigns: tuple[str, ...]) -> None:
    """No row, no timer and no decision comes of a change of the catalog."""
    changed, other = shop(*campaigns), shop(*campaigns)
    for made in (changed, other):
        made.run(browsing(200, users=9))
    changed.catalog("item-1", price=99.99, title="Thing 1", stock=3)
    for made in (changed, other):
        told(made, 60)
        assert made.watch.rows == {}
    assert changed.policy.rows == other.policy.rows
    assert changed.reasons() == other.reasons()


def test_rows_that_are_left_when_a_campaign_is_switched_off_go_as_before() -> None:
    """A purchase, an erasure, or new things in their place take them out; nothing is added."""
    profile = ProfileSettings(recent_items=3)
    made = shop("price-drop", profile=profile)
    for user in ("ann", "bea", "cat"):
        made.step([record(user, "view", at(n), item=f"item-{n}") for n in range(3)])
    off = Shop(CoreSettings(policy=OPEN, profile=profile), made.index)
    for name in ("profiles", "seen", "policy", "watch"):
        getattr(off, name).rows.update(getattr(made, name).rows)
    off.step([record("ann", "purchase", at(5), item="item-1"), record("ann", "view", at(6), item="item-2")])
    off.step([record("bea", "preferences", at(5), preferences={"erase": True})])
    off.step([record("cat", "view", at(6), item="item-7"), record("dan", "view", at(6), item="item-1")])
    left = {watch_key(item_key(item), user) for user, item in (("ann", "item-0"), ("ann", "item-2"))}
    left |= {watch_key(item_key(item), "cat") for item in ("item-1", "item-2")}
    assert set(off.watch.rows) == left


def test_a_sale_of_everything_is_told_a_few_at_a_time_and_forgets_nobody() -> None:
    """Wherever a tick stops, the next goes on behind the shopper it came to."""
    (campaign,) = load(CampaignSettings(on=("price-drop",)))
    waits = replace(campaign, triggers=replace(campaign.triggers, after_ms=HOUR_MS))
    full = CoreSettings(policy=OPEN, campaigns=(waits,), timers=TimerSettings(told_per_tick=3))
    made = Shop(full, shop("price-drop").index)
    users = [f"user-{n:02}" for n in range(11)]
    made.step([record(user, "view", at(0), item=f"item-{n}", id=f"{n}") for n in range(4) for user in users])
    for n in range(20):
        made.catalog(f"item-{n}", price=50.0)
    position = made.index.changes.position
    ticks = 0
    while made.watch.swept != (position, ""):
        effects = made.step([tick(at(1), position)])
        assert len(effects.watch) <= 3
        ticks += 1
    assert ticks >= 44 // 3
    states = made.policy.get_many(users)
    for state in states:
        assert state is not None
        assert {timer.campaign: sorted(timer.keys) for timer in state.armed} == {
            "price-drop": sorted(item_key(f"item-{n}") for n in range(4))
        }


def test_two_campaigns_of_one_kind_watch_by_their_own_events() -> None:
    """One of carts alone does not hear of what was only looked at."""
    made = shop("price-drop")
    (campaign,) = made.settings.campaigns
    carts = replace(campaign, name="carts", triggers=replace(campaign.triggers, on=("cart",)))
    both = Shop(CoreSettings(policy=OPEN, campaigns=(campaign, carts)), made.index)
    both.step([record("ann", "view", at(0), item="item-1"), record("bea", "cart", at(0), item="item-1")])
    both.step([record("bea", "view", at(1), item="item-1")])
    both.catalog("item-1", price=50.0)
    told(both, 5)
    assert [campaign for campaign, _ in reasons(both)] == ["price-drop"]
    assert sorted(campaign for campaign, _ in reasons(both, "bea")) == ["carts", "price-drop"]


def test_a_shopper_whose_timers_cannot_be_armed_does_not_hold_up_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead letter under the tick; nobody is told twice."""
    made = shop("price-drop")
    made.step([record(user, "view", at(0), item="item-1") for user in ("ann", "bad", "bea")])
    made.catalog("item-1", price=50.0)
    arms = watching.armed

    def breaks(timers, news, *more):
        if news.user == "bad":
            raise RuntimeError("no")
        return arms(timers, news, *more)

    monkeypatch.setattr(watching, "armed", breaks)
    told(made, 5)
    assert [letter.record.key for letter in made.total.dead_letters] == [b"bad"]
    assert (len(sent(made)), len(sent(made, "bea")), len(sent(made, "bad"))) == (1, 1, 0)


HARD = CoreSettings(
    policy=OPEN,
    campaigns=load(CampaignSettings(on=("all",))),
    profile=ProfileSettings(recent_items=4),
    timers=TimerSettings(fired_per_tick=2, items=3, told_per_tick=2),
)


def hard(made: Shop, seed: int) -> Iterator[list[Record]]:
    """Stretches of events and ticks between changes of the catalog, which are made as the stretches are asked for."""
    rng, time = Random(seed), T0 + 30 * DAY_MS
    for stretch in range(14):
        for _ in range(rng.randrange(4)):
            made.catalog(f"item-{rng.randrange(6)}", price=rng.choice([40.0, 60.0, 80.0]), stock=rng.choice([0, 0, 5]))
        records = []
        for n in range(rng.randrange(1, 12)):
            user, item = f"user-{rng.randrange(4)}", f"item-{rng.randrange(6)}"
            time += rng.choice([0, 1000, MINUTE_MS, HOUR_MS, 5 * HOUR_MS])
            kind = rng.choice(["tick", "tick", "view", "view", "cart", "purchase", "list_view", "preferences", "late"])
            identity = f"{stretch}-{n}"
            if kind == "tick":
                records.append(tick(time, made.index.changes.position if rng.random() < 0.8 else 0))
            elif kind == "preferences":
                hours = {"quiet_hours": rng.choice([["22:00", "07:00"], ["00:00", "00:00"]])}
                wish = {"erase": True} if rng.random() < 0.3 else hours
                records.append(record(user, kind, time, id=identity, preferences=wish))
            elif kind == "late":
                past = time - 3 * HOUR_MS
                records.append(record(user, "view", past, id=identity, item=item, timestamp=time, price=90.0))
            else:
                price = {"price": rng.choice([70.0, 90.0])} if rng.random() < 0.5 else {}
                records.append(record(user, kind, time, id=identity, item=item, **price))
        yield records


def run(seed: int, cuts: set[int] | None = None) -> Shop:
    """The stream, cut before these places of each stretch; before every one for ``None``."""
    made = Shop(HARD)
    for n in range(6):
        made.catalog(f"item-{n}", title=f"Thing {n}", price=80.0, stock=3)
    for records in hard(made, seed):
        places = range(1, len(records)) if cuts is None else [cut for cut in cuts if cut < len(records)]
        made.run(records, places)
    return made


@cache
def uncut(seed: int) -> Shop:
    """The stream in one batch a stretch. Read-only."""
    return run(seed, set())


@pytest.mark.slow
@settings(max_examples=examples(25))
@given(st.integers(0, 10**6), st.sets(st.integers(1, 11), max_size=5))
def test_where_a_batch_is_cut_cannot_be_seen_in_rows_or_news(seed: int, cuts: set[int]) -> None:
    """With the same ticks between the same events, and the catalog where it was at each."""
    whole = run(seed, set())
    for cut in (cuts, None):
        other = run(seed, cut)
        assert (other.result(), other.due.keys) == (whole.result(), whole.due.keys)


@pytest.mark.parametrize("seed", range(6))
def test_whoever_watches_an_item_remembers_it(seed: int) -> None:
    """Whatever befell the shopper since."""
    made = uncut(seed)
    remembered = set()
    for user in made.profiles.rows:
        (profile,) = made.profiles.get_many([user])
        if profile is not None:
            remembered |= {watch_key(recent.key, user) for recent in profile.recents()}
    assert set(made.watch.rows) <= remembered


def test_the_stream_is_hard() -> None:
    """News of both kinds are sent, deferred, taken back and outbid; otherwise the tests above would say little."""
    told_of, seen = set(), set()
    for seed in range(20):
        made = uncut(seed)
        for decision in made.total.decisions:
            if decision.campaign in BOTH:
                told_of.add(decision.campaign)
                seen.add(decision.reason)
    assert told_of == set(BOTH)
    assert {"sent", "quiet_hours", "outbid", "bought"} <= seen


def test_a_row_from_before_there_was_such_news_is_read_as_it_was() -> None:
    """A timer without prices, as it lies in table ``policy`` of earlier releases."""
    row = bytes.fromhex(
        "0194dc0012c305c000c000c000000000000000000000909196cf0000018bcfe56800a46e65787491039104c205919dad636172742d72656d"
        "696e646572cf0000018bd000df40cf0000018bcfe56800a3652d31a473686f70a463617274a87075726368617365022a079201cfffffffff"
        "ffffffffa0c3cf0000018bd000df40"
    )
    (timer,) = StructCodec(PolicyState).decode(row).armed
    assert (timer.campaign, timer.keys, timer.prices, timer.waits) == ("cart-reminder", (1, 2**64 - 1), (), True)
    assert timer.items == [(1, 0), (2**64 - 1, 0)]


def test_a_row_of_who_watches_what_stays_as_it_is() -> None:
    """Bytes that lie on disks and in changelogs."""
    row = bytes.fromhex("0195cf0000018bcfe56800cd26fc1192a463617274a4766965779192aa70726963652d64726f70cd2310")
    codec = StructCodec(Watch)
    found = Watch(1_700_000_000_000, 9_980, 17, ("cart", "view"), (("price-drop", 8_976),))
    assert codec.decode(row) == found
    assert codec.encode(found) == row
    before = bytes.fromhex("0194cf0000018bcfe56800cd26fc1192a463617274a476696577")
    assert codec.decode(before) == replace(found, told=())
