"""Folding events into a profile."""

from __future__ import annotations

import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.events import EVENT_TYPES, Event, Line, group_key, item_key
from streamer.core.packed import AFFINITY, Bought
from streamer.core.profile import (
    CART,
    OTHER,
    PURCHASE,
    SEARCH,
    VIEW,
    Profile,
    affinities,
    fold,
    log2_cents,
    price_cents,
)
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, ProfileSettings

SETTINGS = ProfileSettings()
T0 = 1_700_000_000_000


def line(item: str, price: float = math.nan, category: str = "", brand: str = "") -> Line:
    return Line(item, item_key(item), 1, price, category, brand)


def event(kind: str, time: int, *lines: Line, query: str = "") -> Event:
    return Event("u", f"{kind}{time}", "test", kind, time, time, lines, query)


def folded(*events: Event, settings: ProfileSettings = SETTINGS) -> Profile:
    profile = None
    for each in events:
        profile = fold(profile, each, settings)
    assert profile is not None
    return profile


def test_each_kind_of_event_is_counted_once() -> None:
    profile = folded(
        event("view", T0, line("a")),
        event("click", T0 + 1, line("a")),
        event("search", T0 + 2, query="shoes"),
        event("cart", T0 + 3, line("a")),
        event("purchase", T0 + 4, line("a"), line("b")),
        event("checkout", T0 + 5),
    )
    assert [profile.counts[k] for k in (VIEW, SEARCH, CART, PURCHASE, OTHER)] == [2, 1, 1, 1, 1]
    item = next(i for i in profile.recents() if i.key == item_key("a"))
    assert (item.views, item.carts, item.purchases) == (2, 1, 1)


def test_what_is_bought_again_counts_once_an_order_and_knows_its_first_and_last_time() -> None:
    order = event("purchase", T0, line("a"), line("b"), line("a"))
    profile = folded(order, event("purchase", T0 + DAY_MS, line("a")))
    profile = fold(profile, event("purchase", T0 - DAY_MS, line("a")), SETTINGS)
    a, b = item_key("a"), item_key("b")
    last, first = (T0 + DAY_MS) // 1000, (T0 - DAY_MS) // 1000
    assert profile.bought() == [Bought(b, T0 // 1000, T0 // 1000, 1), Bought(a, last, first, 3)]


def test_of_too_many_purchases_the_oldest_of_those_made_once_goes() -> None:
    settings = ProfileSettings(purchased=3)

    def bought(*names: str) -> list[int]:
        events = [event("purchase", T0 + n * DAY_MS, line(name)) for n, name in enumerate(names)]
        return [b.key for b in folded(*events, settings=settings).bought()]

    assert bought("a", "b", "a", "c", "d") == [item_key(n) for n in ("a", "c", "d")]
    assert bought("a", "a", "b", "b", "c", "c", "d") == [item_key(n) for n in ("b", "c", "d")]


def test_a_smaller_limit_holds_from_the_next_purchase_on() -> None:
    profile = folded(*(event("purchase", T0 + n, line(f"{n}")) for n in range(9)))
    profile = fold(profile, event("purchase", T0 + 9, line("9")), ProfileSettings(purchased=4))
    assert [b.key for b in profile.bought()] == [item_key(f"{n}") for n in range(6, 10)]


def test_every_registered_type_can_be_folded() -> None:
    for name in EVENT_TYPES:
        fold(None, event(name, T0, line("a", 3.0, "shoes", "acme"), query="x"), SETTINGS)


def test_feedback_and_preferences_leave_a_profile_as_it_was() -> None:
    profile = folded(event("view", T0, line("a")))
    before = msgspec.msgpack.encode(profile)
    for name, event_type in EVENT_TYPES.items():
        if event_type.kind in {"feedback", "preference"}:
            fold(profile, event(name, T0 + 1), SETTINGS)
    assert msgspec.msgpack.encode(profile) == before


def test_recent_items_are_unique_bounded_and_newest_last() -> None:
    settings = ProfileSettings(recent_items=3)
    names = ["a", "b", "c", "a", "d"]
    profile = folded(*(event("view", T0 + n, line(name)) for n, name in enumerate(names)), settings=settings)
    assert [i.key for i in profile.recents()] == [item_key(n) for n in ("c", "a", "d")]


def test_interest_in_an_item_halves_in_a_half_life_and_then_grows_by_the_new_event() -> None:
    later = T0 + SETTINGS.interest_half_life_ms
    item = folded(event("cart", T0, line("a")), event("view", later, line("a"))).recents()[0]
    assert item.weight == pytest.approx((3 / 2 + 1) * 256, abs=1)
    assert item.last_s == later // 1000


def test_taking_an_item_back_never_leaves_less_than_no_interest() -> None:
    profile = folded(
        event("view", T0, line("a", category="shoes")), event("remove_from_cart", T0 + 1, line("a", category="shoes"))
    )
    assert profile.recents()[0].weight == 0
    assert profile.categories == b""


def test_affinities_decay_by_half_lives_also_across_eras() -> None:
    half = SETTINGS.affinity_half_life_ms
    for start in range(T0, T0 + 24 * half, 5 * half):
        profile = folded(event("cart", start, line("a", category="shoes", brand="acme")))
        profile = fold(profile, event("view", start + 2 * half, line("b", category="hats")), SETTINGS)
        worth = dict(affinities(profile.categories, profile.era, start + 2 * half, SETTINGS))
        assert worth[group_key("shoes")] == pytest.approx(3 / 4, rel=1e-3)
        assert worth[group_key("hats")] == pytest.approx(1.0, rel=1e-3)


def test_the_smallest_affinity_goes_when_there_are_too_many() -> None:
    settings = ProfileSettings(affinities=2)
    profile = folded(
        event("cart", T0, line("a", brand="strong")),
        event("view", T0 + 1, line("b", brand="weak")),
        event("view", T0 + DAY_MS, line("c", brand="newer")),
        settings=settings,
    )
    assert [b.key for b in AFFINITY.rows(profile.brands)] == [group_key("strong"), group_key("newer")]


def test_an_out_of_order_event_counts_but_moves_nothing_back() -> None:
    profile = folded(event("view", T0, line("a", category="shoes")))
    profile = fold(profile, event("purchase", T0 - HOUR_MS, line("b", 9.0, "hats")), SETTINGS)
    assert (profile.first_ms, profile.last_ms) == (T0 - HOUR_MS, T0)
    assert [i.key for i in profile.recents()] == [item_key("a")]
    assert profile.counts[PURCHASE] == 1
    assert [c.key for c in AFFINITY.rows(profile.categories)] == [group_key("shoes"), group_key("hats")]
    assert [b.key for b in profile.bought()] == [item_key("b")]
    assert (profile.sessions, profile.session_events) == (1, 1)


@given(st.permutations(range(6)))
def test_affinities_do_not_depend_on_the_order_of_events(order: list[int]) -> None:
    events = [event("view", T0 + n * 5 * DAY_MS, line(str(n), category=f"c{n % 3}")) for n in range(6)]
    straight, shuffled = folded(*events), folded(*(events[n] for n in order))
    assert sorted((c.key, c.weight) for c in AFFINITY.rows(straight.categories)) == sorted(
        (c.key, c.weight) for c in AFFINITY.rows(shuffled.categories)
    )


def test_a_silence_longer_than_the_gap_begins_a_session() -> None:
    times = [T0, T0 + 30 * MINUTE_MS, T0 + 61 * MINUTE_MS]
    profile = folded(*(event("view", t, line("a")) for t in times))
    assert (profile.sessions, profile.session_start_ms, profile.session_events) == (2, times[2], 1)


def test_searches_are_normalised_unique_cut_and_bounded() -> None:
    settings = ProfileSettings(searches=2, search_chars=5)
    queries = ["Trail  SHOES", "hats", " trail ", "   "]
    profile = folded(*(event("search", T0 + n, query=q) for n, q in enumerate(queries)), settings=settings)
    assert [s.text for s in profile.searches] == ["hats", "trail"]


def test_a_refund_takes_the_item_from_the_purchases() -> None:
    profile = folded(event("purchase", T0, line("a"), line("b")), event("refund", T0 + 1, line("a")))
    assert [b.key for b in profile.bought()] == [item_key("b")]


def test_a_line_that_does_not_tell_leaves_what_was_told() -> None:
    profile = folded(event("view", T0, line("a", 12.5, "shoes", "acme")), event("purchase", T0 + 1, line("a")))
    item = profile.recents()[0]
    assert (item.category, item.brand, item.price_cents) == (group_key("shoes"), group_key("acme"), 1250)
    assert AFFINITY.rows(profile.categories)[0].weight == pytest.approx(6 * 256 * 2**10 * _growth(), rel=1e-3)


def _growth() -> float:
    half = SETTINGS.affinity_half_life_ms
    return float(2.0 ** ((T0 % (24 * half)) / half))


def test_price_mean_and_variance_are_of_the_logarithm() -> None:
    prices = [8.0, 16.0, 32.0]
    profile = folded(*(event("view", T0 + n, line(str(n), p)) for n, p in enumerate(prices)))
    assert profile.price_mean == pytest.approx(math.log2(1600), abs=1 / 128)
    assert profile.price_var == pytest.approx(2 / 3, abs=0.02)


def test_old_prices_are_forgotten() -> None:
    events = [event("view", T0 + n, line("a", 10.0 if n < 200 else 1000.0)) for n in range(400)]
    assert folded(*events).price_mean == pytest.approx(math.log2(100_000), abs=0.05)


@pytest.mark.parametrize("cents", [1, 2, 3, 99, 100, 255, 256, 257, 12_345, 10**9])
def test_the_logarithm_of_cents_is_near_the_real_one(cents: int) -> None:
    assert log2_cents(cents) == pytest.approx(math.log2(cents), abs=1 / 128)


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, -1.0, 0.0, 1e300])
def test_a_price_that_is_none_has_no_cents(price: float) -> None:
    assert price_cents(price) == 0


def test_a_row_survives_its_encoding_and_goes_on_the_same() -> None:
    """Whether a profile was stored in between cannot be seen."""
    kept: Profile | None = None
    stored: Profile | None = None
    for each in synthetic(400, users=1):
        kept = fold(kept, each, SETTINGS)
        stored = fold(stored, each, SETTINGS)
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Profile)
    assert msgspec.msgpack.encode(kept) == msgspec.msgpack.encode(stored)


def test_the_median_row_of_a_shop_is_within_a_kibibyte() -> None:
    profiles: dict[str, Profile] = {}
    for each in synthetic(20_000, users=2_000):
        profiles[each.user] = fold(profiles.get(each.user), each, SETTINGS)
    sizes = sorted(len(msgspec.msgpack.encode(p)) for p in profiles.values())
    assert sizes[len(sizes) // 2] <= 1024
    assert sizes[-1] <= 4096


def synthetic(count: int, users: int) -> list[Event]:
    """A seeded shop: skewed items, eleven categories, seven brands."""
    rng = random.Random(7)
    events = []
    for n in range(count):
        item = int(rng.paretovariate(0.7)) % 500
        each = line(f"item-{item}", 5.0 + item, f"category-{item % 11}", f"brand-{item % 7}")
        kind = rng.choices(["view", "search", "cart", "purchase"], [80, 8, 8, 4])[0]
        lines = () if kind == "search" else (each,)
        user = f"user-{int(rng.random() ** 2 * users)}"
        events.append(Event(user, str(n), "test", kind, T0 + n * 20_000, n, lines, "shoes" if not lines else ""))
    return events
