"""The figures of uplift: against worlds whose answer is known."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from streamer.core.uplift.figures import FiguresState, UpliftFigures


def world(foretell: str, *, count: int = 40_000, chance: float = 0.8, seed: int = 3, memory: int = 0) -> UpliftFigures:
    """Half of the shoppers gain 0.2 by a push, half lose 0.1; what is foretold is right, reversed or at random."""
    random, figures = Random(seed), UpliftFigures(memory)
    for _ in range(count):
        gain = random.choice((0.2, -0.1))
        told = {"right": gain, "reversed": 0.1 - gain, "random": random.choice((0.2, -0.1))}[foretell]
        pushed = random.random() < chance
        figures.update(told, chance, pushed=pushed, bought=random.random() < 0.3 + pushed * gain)
    return figures


def test_what_is_seen_is_the_difference_that_pushes_made() -> None:
    """Whatever the share that was pushed."""
    for chance in (0.5, 0.9):
        lift = world("right", chance=chance).lift()
        assert lift.seen == pytest.approx(0.05, abs=0.02)
        assert lift.foretold == pytest.approx(0.05, abs=0.01)


def test_those_of_the_greatest_uplift_foretold_gain_most_if_it_is_foretold_right() -> None:
    assert world("right").top().seen == pytest.approx(0.2, abs=0.03)
    assert world("reversed").top().seen == pytest.approx(-0.1, abs=0.03)
    assert world("random").top().seen == pytest.approx(0.05, abs=0.03)


def test_the_qini_figure_is_the_area_between_the_order_foretold_and_any_order() -> None:
    """By hand: the curve rises to 0.1 at the half and falls to 0.05; the straight line lies 0.0375 below on average."""
    assert world("right").qini() == pytest.approx(0.0375, abs=0.008)
    assert world("reversed").qini() == pytest.approx(-0.0375, abs=0.008)
    assert world("random").qini() == pytest.approx(0.0, abs=0.008)


def test_the_error_is_how_far_what_is_seen_is_from_what_was_foretold() -> None:
    assert world("right").error() < 0.03
    # Two fifths of the ranges are wrong by 0.3 each way, and the one in the middle, half of each, by nothing.
    assert world("reversed").error() == pytest.approx(0.24, abs=0.03)


def test_older_responses_fade() -> None:
    figures = UpliftFigures(memory=500)
    for n in range(20_000):
        figures.update(0.1, 0.5, pushed=n % 2 == 0, bought=n < 10_000 or n % 2 == 0)
    assert figures.lift().seen == pytest.approx(1.0, abs=0.01)
    assert figures.lift().weight == pytest.approx(1000, rel=0.01)


def test_without_both_groups_nothing_is_known() -> None:
    figures = UpliftFigures()
    assert all(value != value for value in figures.figures().values())  # noqa: PLR0124 -- NaN
    figures.update(0.1, 0.5, pushed=True, bought=True)
    assert np.isnan(figures.lift().seen)
    assert np.isnan(figures.qini())


def test_figures_go_on_from_their_state_and_begin_anew_from_a_damaged_one() -> None:
    one = world("right", count=500)
    other = UpliftFigures()
    other.restore(one.state())
    assert other.figures() == one.figures()
    for damaged in (
        FiguresState(1.0, one.state().sums[:-1]),
        FiguresState(float("nan"), one.state().sums),
        FiguresState(1.0, b"\xff" * len(one.state().sums)),
    ):
        fresh = UpliftFigures()
        fresh.restore(damaged)
        assert np.isnan(fresh.qini())
