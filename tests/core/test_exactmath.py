"""The elementary functions: close to the real ones, and one and the same for scalars and arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.exactmath import exp2, log2, log2_1p, sigmoid

MODEST = st.floats(-300.0, 300.0)
POSITIVE = st.floats(1e-300, 1e300)


@given(MODEST)
def test_exp2_is_within_its_bound(x: float) -> None:
    """Relative error 1e-13 against the C library."""
    assert exp2(x) == pytest.approx(math.exp2(x), rel=1e-13)


@given(POSITIVE)
def test_log2_is_within_its_bound(x: float) -> None:
    """Absolute error 1e-13 for values of magnitude one, scaled by the result's own magnitude."""
    assert abs(log2(x) - math.log2(x)) <= 1e-13 * max(1.0, abs(math.log2(x)))


@given(st.floats(-60.0, 60.0))
def test_sigmoid_is_within_its_bound_and_never_reaches_zero_or_one_below_forty(x: float) -> None:
    """Clipped at 40, where e^-40 is what remains."""
    clipped = min(max(x, -40.0), 40.0)
    assert sigmoid(x) == pytest.approx(1.0 / (1.0 + math.exp(-clipped)), rel=1e-13)
    assert sigmoid(x) > 0.0


@given(st.lists(MODEST, min_size=1, max_size=70))
def test_arrays_and_scalars_give_equal_bits(xs: list[float]) -> None:
    """Whatever the length of the array, as vector loops and their tails must not differ."""
    array = np.array(xs)
    assert exp2(array).tolist() == [exp2(x) for x in xs]
    assert sigmoid(array).tolist() == [sigmoid(x) for x in xs]
    positive = np.abs(array) + 1e-9
    assert log2(positive).tolist() == [log2(float(x)) for x in positive]
    assert log2_1p(np.abs(array)).tolist() == [log2_1p(abs(x)) for x in xs]


def test_values_everyone_relies_on_are_exact() -> None:
    """Powers of two, and a count of none."""
    assert [exp2(float(k)) for k in (-3, 0, 1, 30)] == [0.125, 1.0, 2.0, 2.0**30]
    assert [log2_1p(float(v)) for v in (0, 1, 3, 1023)] == [0.0, 1.0, 2.0, 10.0]
    assert sigmoid(0.0) == 0.5


def test_the_extremes_stay_finite() -> None:
    """What is out of range is clipped, not infinite or zero."""
    for x in (-1e308, -5000.0, 5000.0, 1e308):
        assert 0.0 < exp2(x) < math.inf
        assert 0.0 < sigmoid(x) <= 1.0
