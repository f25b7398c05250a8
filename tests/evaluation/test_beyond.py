"""Novelty, coverage, Gini and diversity on lists small enough to judge by hand."""

from __future__ import annotations

from math import log2

import pytest

from streamer.evaluation.beyond import Beyond, Sightings


def seen(*sightings):
    found = Sightings()
    for user, item in sightings:
        found.see(user, [item], [item])
    return found


def test_figures_are_those_worked_out_by_hand():
    """Four items seen 4, 2, 1 and 1 times; listed twice, once, once and never."""
    users = {0: range(4), 1: range(10, 12), 2: [20], 3: [30]}
    beyond = Beyond(seen(*((user, item) for item, who in users.items() for user in who)))
    beyond.add([0, 1])
    beyond.add([0, 2])
    found = beyond.figures()
    assert found["novelty"] == pytest.approx((2 * -log2(4 / 8) - log2(2 / 8) - log2(1 / 8)) / 4, abs=1e-6)
    assert found["coverage"] == 0.75
    # Sorted 0, 1, 1, 2: sum of (2 * place - 5) * count over 4 * 4.
    assert found["gini"] == pytest.approx((-3 * 0 - 1 * 1 + 1 * 1 + 3 * 2) / 16, abs=1e-6)


def test_what_a_catalog_names_and_nobody_has_seen_counts_for_nothing():
    """It has no number: -1."""
    with_it, without = (Beyond(seen((0, 0), (1, 0), (2, 1), (3, 2))) for _ in range(2))
    with_it.add([-1, 0, -1, 2])
    with_it.add([-1])
    without.add([0, 2])
    assert with_it.figures() == without.figures()


def test_items_of_the_same_users_are_no_diversity_and_of_others_full():
    alike = Beyond(seen(*((user, item) for user in range(30) for item in (0, 1))))
    alike.add([0, 1])
    assert alike.figures()["diversity"] == pytest.approx(0.0, abs=1e-6)
    others = Beyond(seen(*((100 * item + user, item) for user in range(30) for item in range(20))))
    others.add(list(range(20)))
    assert others.figures()["diversity"] == pytest.approx(1.0, abs=0.05)


def test_the_cosine_of_users_in_common_is_estimated_without_bias():
    """Twenty pairs of items with half of their users in common."""
    pairs = [(base + n, item) for at in range(20) for base in (1000 * at,) for n in range(80)
             for item in ([2 * at] if n < 40 else []) + ([2 * at + 1] if 20 <= n < 60 else [])]  # fmt: skip
    beyond = Beyond(seen(*pairs))
    for at in range(20):
        beyond.add([2 * at, 2 * at + 1])
    assert beyond.figures()["diversity"] == pytest.approx(0.5, abs=0.08)


def test_a_block_of_lists_is_as_good_as_list_by_list():
    one = Beyond(seen((1, 0), (2, 1), (2, 0)))
    for _ in range(600):
        one.add([0, 1])
    two = Beyond(seen((1, 0), (2, 1), (2, 0)))
    two.add([0, 1])
    assert one.figures() == pytest.approx(two.figures(), abs=1e-6)
