"""Campaigns on a hard stream: nothing shows where a batch was cut, whatever befalls shoppers who have timers."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.record import Record
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from streamer.core.timer_settings import TimerSettings
from streamer.core.timers import read_due_key
from tests.core.task_shop import T0, Shop, browsing, record, tick
from tests.examples import examples

COUNT = 160
SETTINGS = CoreSettings(
    policy=PolicySettings(score_threshold=0.0, per_hour=3, per_day=9, min_gap_ms=MINUTE_MS, repeat_window_ms=HOUR_MS),
    campaigns=load(CampaignSettings(on=("all",))),
    timers=TimerSettings(fired_per_tick=2, items=3),
)


def hard(seed: int) -> list[Record]:
    """Five shoppers, events late and out of order, opt-outs, quiet hours that come and go, erasures, and ticks."""
    rng, time, records = Random(seed), T0 + 30 * DAY_MS, []
    for n in range(COUNT):
        user, item = f"user-{rng.randrange(5)}", f"item-{rng.randrange(12)}"
        time += rng.choice([0, 1000, 7 * MINUTE_MS, 40 * MINUTE_MS, 5 * HOUR_MS, DAY_MS])
        match rng.randrange(16):
            case 0 | 1 | 2 | 3:
                records.append(tick(time))
            case 4:
                records.append(record(user, "view", time - HOUR_MS, item=item, id=str(n), timestamp=time))
            case 5:
                hours = rng.choice([["22:00", "07:00"], ["00:00", "00:00"], ["06:00", "20:00"]])
                records.append(record(user, "preferences", time, id=str(n), preferences={"quiet_hours": hours}))
            case 6:
                wish = {"consent": rng.random() < 0.7} if rng.random() < 0.7 else {"erase": True}
                records.append(record(user, "preferences", time, id=str(n), preferences=wish))
            case 7:
                records.append(Record("preferences", 0, n, time, user.encode(), None))
            case 8:
                kind = rng.choice(["purchase", "remove_from_cart"])
                records.append(record(user, kind, time, id=str(n), topic="purchase", item=item))
            case 9:
                records.append(record(user, "search", time, id=str(n), query="thing 3"))
            case _:
                kind = rng.choice(["view", "cart", "cart", "purchase"])
                records.append(record(user, kind, time, id=str(n), item=item, category="category-1", price=9.0))
    return records


@cache
def start() -> Shop:
    shop = Shop(SETTINGS).run(browsing(600, users=40, step_ms=1000))
    shop.publish()
    return shop


def run(seed: int, cuts: set[int]) -> Shop:
    return Shop(SETTINGS, start().index).run(hard(seed), cuts)


@pytest.mark.slow
@settings(max_examples=examples(20))
@given(st.integers(0, 10**6), st.sets(st.integers(1, COUNT - 1), max_size=20))
def test_with_the_same_ticks_a_cut_cannot_be_seen(seed: int, cuts: set[int]) -> None:
    """Rows of all tables, candidates, decisions, byte for byte; also cut at every record."""
    whole = run(seed, set())
    assert run(seed, cuts).result() == whole.result()
    assert run(seed, cuts).due.keys == whole.due.keys
    each = run(seed, set(range(1, COUNT)))
    assert (each.result(), each.due.keys) == (whole.result(), whole.due.keys)


@pytest.mark.slow
def test_the_stream_is_hard() -> None:
    """Timers of several campaigns fire, are deferred, outbid and refused; otherwise the test above would say little."""
    timed, reasons = set(), set()
    for seed in range(12):
        for decision in run(seed, set()).total.decisions:
            reasons.add(decision.reason)
            if decision.due_ms:
                timed.add(decision.campaign)
    assert {"sent", "quiet_hours", "outbid", "consent", "audience"} <= reasons
    assert {"next", "cart-reminder", "buy-again", "new-arrivals", "win-back"} <= timed


@pytest.mark.parametrize("seed", range(8))
def test_a_shopper_with_timers_has_one_row_in_time_and_nobody_else_has_any(seed: int) -> None:
    """At the time their state says, which is never after the first of the timers."""
    shop = run(seed, set())
    rows = sorted(read_due_key(key) for key in shop.due.keys)
    live = []
    for user, state in zip(shop.policy.rows, shop.policy.get_many(list(shop.policy.rows)), strict=True):
        assert state is not None
        if state.wake_ms:
            live.append((state.wake_ms, user))
        if state.armed:
            assert 0 < state.wake_ms <= state.armed[0].due_ms
    # And one more for as long as a push waits for its responses.
    live += [(row.wake_ms, user) for user in shop.slates.rows for row in shop.slates.get_many([user]) if row]
    assert rows == sorted(set(live))
