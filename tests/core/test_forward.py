"""A push that sells what would have been bought a few days later has sold nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.policy.state import Standing
from streamer.core.profile import Profile
from streamer.core.settings import DAY_MS, CoreSettings, PolicySettings
from streamer.core.uplift.forward import sold_besides
from streamer.core.uplift.model import Forecast
from streamer.core.uplift.worth import worth
from streamer.core.uplift_settings import UpliftSettings
from tests.core.task_shop import T0, Shop, browsing, record

WEEK_MS = 7 * DAY_MS
NOW = T0 + 60 * DAY_MS


def shopper(orders: int, known_ms: int) -> Profile:
    return Profile(NOW - known_ms, NOW, (9, 0, 0, orders, 0))


def besides(orders: int, known_ms: int, forward_ms: int = WEEK_MS, *, by_pushes: int = 0) -> float:
    return sold_besides(shopper(orders, known_ms), Standing(converted=by_pushes), NOW, forward_ms)


@given(
    orders=st.integers(0, 10_000), known_ms=st.integers(0, 20 * 365 * DAY_MS), forward_ms=st.integers(1, 90 * DAY_MS)
)
def test_it_is_the_chance_of_no_order_of_a_poisson_process_with_a_gamma_rate(
    orders: int, known_ms: int, forward_ms: int
) -> None:
    """As worked out with the standard library's powers, by a prior of half an order in a week."""
    seen = WEEK_MS + known_ms
    expected = (seen / (seen + forward_ms)) ** (0.5 + orders)
    assert besides(orders, known_ms, forward_ms) == pytest.approx(expected, rel=1e-6, abs=1e-300)
    assert besides(orders + 1, known_ms, forward_ms) <= besides(orders, known_ms, forward_ms) <= 1.0
    assert besides(orders, known_ms, 2 * forward_ms) <= besides(orders, known_ms, forward_ms)


def test_who_buys_every_other_day_would_have_bought_and_who_never_bought_in_a_year_would_not() -> None:
    assert besides(15, 30 * DAY_MS) < 0.1
    assert besides(0, 365 * DAY_MS) > 0.98
    assert besides(15, 30 * DAY_MS, forward_ms=0) == 1.0


def test_what_pushes_sold_was_not_bought_unasked() -> None:
    assert besides(5, 30 * DAY_MS, by_pushes=5) == besides(0, 30 * DAY_MS)
    # A service may tell of more than there were.
    assert besides(1, 30 * DAY_MS, by_pushes=5) == besides(0, 30 * DAY_MS)


def test_a_gain_is_made_less_of_and_a_loss_is_not() -> None:
    """What a push puts off may never be bought."""
    money = UpliftSettings(opt_out_cost=0.0)
    sells, prevents = Forecast(0.3, 0.1, 0.2, 0.0), Forecast(0.1, 0.3, 0.2, 0.0)
    assert worth(sells, 0, money, besides=0.25) == pytest.approx(0.2 * 10 * 0.25)
    assert worth(prevents, 0, money, besides=0.25) == pytest.approx(-0.2 * 10)


def test_of_two_shoppers_who_look_at_the_same_the_push_to_who_buys_often_is_worth_less() -> None:
    """Beyond what the model says of either, as the setting shows that switches it off."""

    def worths(forward_ms: int) -> dict[str, float]:
        settings = CoreSettings(
            policy=PolicySettings(score_threshold=0.0, try_share=1.0),
            uplift=UpliftSettings(forward_ms=forward_ms, opt_out_cost=0.0),
        )
        learned = Shop(settings).run(browsing(600, users=40, step_ms=1000))
        learned.publish()
        shop = Shop(settings, learned.index)
        start = T0 + 30 * DAY_MS
        for n in range(12):
            time = start + n * DAY_MS
            shop.run([record("often", "purchase", time, item=f"item-{n + 10}")])
            shop.run([record("seldom", "view", time, item=f"item-{n + 10}")])
        shop.total.decisions.clear()
        shop.run([record(user, "view", start + 12 * DAY_MS, item="item-1") for user in ("often", "seldom")])
        return {each.user: each.worth or 0.0 for each in shop.total.decisions}

    off, on = worths(0), worths(WEEK_MS)
    assert on["often"] == pytest.approx(off["often"] * sold_besides(shopper(12, 12 * DAY_MS), Standing(), NOW, WEEK_MS))
    assert on["often"] < 0.1 * off["often"]
    assert on["seldom"] > 0.7 * off["seldom"]


def test_a_time_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="forward_ms must be at least 0"):
        UpliftSettings(forward_ms=-1)
