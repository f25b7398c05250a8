"""Landmark sums: order and grouping leave no trace, and the values fade by half in a half-life."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.decay import (
    EMPTY,
    ERA_HALF_LIVES,
    NOTHING,
    Sum,
    add,
    decay,
    decay_array,
    landmark,
    level,
    merge,
    value,
)
from streamer.core.exactmath import exp2

HALF_LIFE_MS = 3_600_000
ERA_MS = ERA_HALF_LIVES * HALF_LIFE_MS
START_MS = 1_570_000_000_000
TIMES = st.integers(START_MS, START_MS + 4 * ERA_MS)


def total(times: list[int]) -> Sum:
    """One unit at each time, in that order."""
    return reduce(lambda s, t: add(s, *landmark(t, HALF_LIFE_MS)), times, EMPTY)


@given(st.lists(TIMES, max_size=12), st.data())
def test_a_sum_is_the_same_in_any_order_and_grouping(times: list[int], data: st.DataObject) -> None:
    """Sums commute and associate exactly, across eras too."""
    shuffled = data.draw(st.permutations(times))
    cut = data.draw(st.integers(0, len(times)))
    assert merge(total(shuffled[:cut]), total(shuffled[cut:])) == total(times)
    assert merge(total(shuffled[cut:]), total(shuffled[:cut])) == total(times)


@given(st.lists(TIMES, min_size=1, max_size=12), st.integers(0, 3 * ERA_MS))
def test_a_value_is_what_summing_faded_units_gives(times: list[int], wait_ms: int) -> None:
    """To a part in a thousand (amounts are integers of at least 1024), plus what eras long past would add."""
    now = max(times) + wait_ms
    exact = sum(2.0 ** (-(now - t) / HALF_LIFE_MS) for t in times)
    assert value(total(times), now, HALF_LIFE_MS) == pytest.approx(exact, rel=1e-3, abs=len(times) * 2.0**-23)


@given(st.lists(TIMES, min_size=1, max_size=8), st.lists(TIMES, min_size=1, max_size=8), TIMES)
def test_levels_order_sums_as_their_values_do(a: list[int], b: list[int], now: int) -> None:
    """A level is the value at time 0 as a logarithm: time moves all values alike."""
    worth = [exp2(level(total(x)) - now / HALF_LIFE_MS) for x in (a, b)]
    assert worth[0] == pytest.approx(value(total(a), now, HALF_LIFE_MS), rel=1e-9)
    assert (level(total(a)) > level(total(b))) == (worth[0] > worth[1]) or worth[0] == pytest.approx(worth[1], rel=1e-9)


def test_a_unit_is_one_now_and_half_a_half_life_later() -> None:
    """The plain meaning of it."""
    unit = total([START_MS])
    assert value(unit, START_MS, HALF_LIFE_MS) == pytest.approx(1.0, rel=1e-3)
    assert value(unit, START_MS + HALF_LIFE_MS, HALF_LIFE_MS) == pytest.approx(0.5, rel=1e-3)


def test_a_sum_of_nothing_has_no_level() -> None:
    """Nor has one that was taken back."""
    era, amount = landmark(START_MS, HALF_LIFE_MS)
    assert level(EMPTY) == NOTHING
    assert level(add(add(EMPTY, era, amount), era, -amount)) == NOTHING


def test_an_amount_is_growing_through_its_era_and_starts_anew_with_the_next() -> None:
    """1024 at the start, doubled by every half-life."""
    start = (START_MS // ERA_MS) * ERA_MS
    assert landmark(start, HALF_LIFE_MS) == (start // ERA_MS, 1024)
    assert landmark(start + 5 * HALF_LIFE_MS, HALF_LIFE_MS)[1] == 1024 * 32
    assert landmark(start + ERA_MS - 1, HALF_LIFE_MS)[1] == pytest.approx(2**34, rel=1e-6)
    assert landmark(start + ERA_MS, HALF_LIFE_MS) == (start // ERA_MS + 1, 1024)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=40))
def test_decay_of_an_array_has_the_bits_of_decay_of_each(gaps: list[int]) -> None:
    """So that a profile read alone and one read in a batch agree."""
    assert decay_array(np.array(gaps, dtype=np.int64), HALF_LIFE_MS).tolist() == [decay(g, HALF_LIFE_MS) for g in gaps]
