"""After how long things are bought again: learned from everybody's gaps, and a reminder that comes by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.campaigns.cycles import Cycles
from streamer.core.events import group_key, item_key
from streamer.core.items.gaps import GAPS, SHORTEST_S, category_again, item_again, medians_ms, place_of
from streamer.core.settings import DAY_MS
from tests.core.task_shop import record, tick
from tests.core.test_campaigns import START, armed, sent, shop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.core.task_shop import Shop

gaps_s = st.integers(SHORTEST_S, 500 * 86_400)
THIRD = 2 ** (1 / 3)


def cycle_days(made: Shop, item: str, at_ms: int) -> float:
    """After how many days an item is bought again, as the index knows; 0 where it does not."""
    (found,) = Cycles(made.index, made.settings.items).of([item_key(item)], at_ms)
    return found / DAY_MS


def bought_every(made: Shop, days: float, times: int, *users: str, item: str = "item-4", from_ms: int = START) -> int:
    """Each user buys an item so many times, a minute apart from one another; gives when the last one was."""
    last_ms = 0
    for n in range(times):
        for place, user in enumerate(users):
            last_ms = from_ms + int(n * days * DAY_MS) + place * 60_000
            made.step([record(user, "purchase", last_ms, item=item, id=f"{user}-{item}-{n}")])
    made.publish()
    return last_ms


OTHERS = ("carl", "dora", "emil", "fred", "gina")


@given(gaps_s, gaps_s)
def test_longer_gaps_lie_in_later_places_and_a_place_spans_a_third_of_an_octave(one: int, other: int) -> None:
    """Nothing is lost at either end."""
    first, second = place_of(one), place_of(other)
    assert first is not None
    assert second is not None
    if one <= other:
        assert first <= second
    if first == second:
        assert max(one, other) / min(one, other) < THIRD * 1.001
    assert place_of(SHORTEST_S - 1) is None
    assert place_of(10**9) == len(GAPS) - 1


@given(st.lists(gaps_s, min_size=1, max_size=99))
def test_the_cycle_is_the_median_of_the_gaps_to_within_a_place(gaps: list[int]) -> None:
    """Of an even number it lies between the two in the middle, a place more or less."""
    histogram = np.zeros((1, len(GAPS)))
    for gap in gaps:
        histogram[0, place_of(gap)] += 1
    found = medians_ms(histogram)[0] / 1000
    inner = sorted(gaps)[(len(gaps) - 1) // 2 : len(gaps) // 2 + 1]
    assert inner[0] / THIRD / 1.001 <= found <= inner[-1] * THIRD * 1.001


def test_an_items_cycle_is_known_once_it_was_bought_again_often_enough_and_a_year_between_does_not_move_it() -> None:
    """Four gaps, which have hardly faded; then one of three hundred days."""
    made = shop("buy-again")
    last_ms = bought_every(made, 14, 2, *OTHERS[:3])
    assert cycle_days(made, "item-4", last_ms) == 0
    made = shop("buy-again")
    last_ms = bought_every(made, 14, 2, *OTHERS)
    assert cycle_days(made, "item-4", last_ms) == pytest.approx(14, rel=0.13)
    made = shop("buy-again")
    made.step([record("zoe", "purchase", START - 300 * DAY_MS, item="item-4")])
    made.step([record("zoe", "purchase", START, item="item-4")])
    last_ms = bought_every(made, 14, 2, *OTHERS)
    assert cycle_days(made, "item-4", last_ms) == pytest.approx(14, rel=0.13)


def test_gaps_of_long_ago_fade() -> None:
    """Five are not enough half a year later, when nobody bought it again since."""
    made = shop("buy-again")
    last_ms = bought_every(made, 14, 2, *OTHERS)
    assert cycle_days(made, "item-4", last_ms + 180 * DAY_MS) == 0


def test_an_item_seldom_bought_again_goes_by_its_category() -> None:
    """Others of category-4 are, every ten days; what was never bought again has no cycle if neither has its like."""
    made = shop("buy-again")
    bought = [
        record(user, "purchase", START + days * DAY_MS, item=item, category="category-4", id=f"{user}{item}{days}")
        for item in ("item-4", "item-10", "item-16", "item-22")
        for days in (0, 10)
        for user in OTHERS
    ]
    made.run(sorted(bought, key=lambda one: one.timestamp))
    made.publish()
    last_ms = START + 10 * DAY_MS
    assert cycle_days(made, "item-28", last_ms) == pytest.approx(10, rel=0.13)
    assert cycle_days(made, "item-5", last_ms) == 0


def test_parts_of_one_purchase_and_events_out_of_order_are_no_gap() -> None:
    """Bought twice within an hour; and an older purchase that arrives late."""
    made = shop("buy-again")
    hour = 3_600_000
    for user in OTHERS:
        made.step([record(user, "purchase", START + n * hour, item="item-4", id=f"{user}{n}") for n in (0, 1)])
        made.step([record(user, "purchase", START - 2 * DAY_MS, item="item-4", id=f"{user}-late", offset=1)])
    nodes = {node for noted in made.deltas.leads.values() for node, _, _ in noted}
    assert nodes.isdisjoint({item_again(item_key("item-4")), category_again(group_key("category-4"))})


def test_who_bought_it_once_is_reminded_when_others_have_used_theirs_up() -> None:
    """Every two weeks, as a rule: two weeks later, about; and not again until it is bought again."""
    made = shop("buy-again")
    last_ms = bought_every(made, 14, 2, *OTHERS)
    bought_ms = last_ms + DAY_MS
    made.step([record(user, "purchase", bought_ms, item=item) for user, item in (("ann", "item-4"), ("bea", "item-5"))])
    (timer,) = armed(made)
    assert (timer.due_ms - bought_ms) / DAY_MS == pytest.approx(14, rel=0.13)
    made.step([tick(timer.due_ms - 1)])
    assert sent(made) == []
    made.step([tick(timer.due_ms), tick(timer.due_ms + 60 * DAY_MS)])
    assert [[item.id for item in candidate.items] for candidate in sent(made)] == [["item-4"]]
    assert sent(made, "bea") == []  # nobody is known to buy that again


def test_who_has_a_rhythm_of_their_own_is_asked_by_that() -> None:
    """Others take two weeks, and so it is when it was bought once; she takes twenty days, as her second time shows."""
    made = shop("buy-again")
    last_ms = bought_every(made, 14, 2, *[f"user-{n}" for n in range(16)])
    waits = []
    for n in range(3):
        at_ms = last_ms + (1 + 20 * n) * DAY_MS
        made.step([record("ann", "purchase", at_ms, item="item-4")])
        waits.append((armed(made)[0].due_ms - at_ms) / DAY_MS)
    usual = cycle_days(made, "item-4", last_ms)
    assert waits == pytest.approx([usual, 20, 20])


def test_a_timer_that_is_early_by_what_is_known_by_then_waits_on_and_says_nothing() -> None:
    """Fourteen days when it was bought; thirty, by what others did since."""
    made = shop("buy-again")
    last_ms = bought_every(made, 14, 2, *OTHERS)
    made.step([record("ann", "purchase", last_ms + DAY_MS, item="item-4")])
    (early,) = armed(made)
    later = [f"more-{n}" for n in range(30)]
    for user in later:
        made.step([record(user, "purchase", last_ms - 17 * DAY_MS, item="item-4", id=user)])
    for user in later:
        made.step([record(user, "purchase", last_ms + 13 * DAY_MS, item="item-4", id=f"{user}-again")])
    made.publish()
    made.step([tick(early.due_ms)])
    (timer,) = armed(made)
    assert sent(made) == []
    assert (timer.due_ms - last_ms - DAY_MS) / DAY_MS > 20
    made.step([tick(timer.due_ms)])
    assert [candidate.campaign for candidate in sent(made)] == ["buy-again"]


def test_what_is_asked_about_again_as_more_is_known_is_another_push_than_the_first() -> None:
    """Of an order of two things one is asked about, then found to last longer, and due again with the same order."""
    made = shop("buy-again")
    last = bought_every(made, 14, 2, *OTHERS)
    last = max(last, bought_every(made, 20, 2, *(f"more-{n}" for n in range(30)), item="item-10"))
    bought_ms = last + DAY_MS
    made.step([record("ann", "purchase", bought_ms, items=[{"id": "item-4"}, {"id": "item-10"}])])
    made.step([tick(armed(made)[0].due_ms)])
    slower = [f"slower-{n}" for n in range(40)]
    bought_every(made, 37, 2, *slower, from_ms=bought_ms - 20 * DAY_MS)
    for _ in range(2):
        made.step([tick(armed(made)[0].due_ms)])
    assert [[item.id for item in candidate.items] for candidate in sent(made)] == [["item-4"], ["item-10"], ["item-4"]]
    assert len({candidate.candidate_id for candidate in sent(made)}) == 3


@settings(max_examples=10)
@given(st.permutations(OTHERS), st.lists(st.integers(1, 14), max_size=4))
def test_what_is_known_of_cycles_depends_neither_on_the_order_of_shoppers_nor_on_the_cut(
    users: list[str], cuts: list[int]
) -> None:
    """To the last bit: gaps are added up as integers."""

    def known(users: Sequence[str], cuts: Sequence[int]) -> float:
        made = shop("buy-again")
        times = [(START + (14 + place) * n * DAY_MS, user) for n in range(3) for place, user in enumerate(OTHERS)]
        bought = [record(user, "purchase", at_ms, item="item-4", id=f"{user}{at_ms}") for at_ms, user in times]
        made.run(sorted(bought, key=lambda one: (one.timestamp, users.index((one.key or b"").decode()))), cuts)
        made.publish()
        return cycle_days(made, "item-4", times[-1][0])

    assert known(users, cuts) == known(OTHERS, ()) > 0
