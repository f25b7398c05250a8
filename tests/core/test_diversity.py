"""Diverse lists: as maximal marginal relevance says, worked out the slow way; and capped by category."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.exactmath import log2
from streamer.core.index import ItemIndex
from streamer.core.learning_settings import LearningSettings
from streamer.core.names import NONE
from streamer.core.policy.diversity import diversify
from streamer.core.settings import CoreSettings, PolicySettings
from streamer.evaluate import EvaluateSettings, evaluate
from tests.core.task_shop import Shop, browsing
from tests.test_evaluate import shop as aisles

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Groups:
    """All of an index that is asked for: the groups of its items."""

    category: NDArray[np.int32]
    line: NDArray[np.int32]
    band: NDArray[np.int32]


kinds = st.tuples(st.integers(NONE, 3), st.integers(0, 2), st.integers(0, 1))
lists = st.lists(st.tuples(kinds, st.integers(1, (1 << 20) - 1)), min_size=1, max_size=14)


def given_lists(rows: list[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64], Groups]:
    rows = sorted(rows, key=lambda row: -row[1])
    category = np.array([kind[0] for kind, _ in rows], np.int32)
    groups = Groups(
        category,
        category * 3 + np.array([kind[1] for kind, _ in rows], np.int32),
        category * 2 + np.array([kind[2] for kind, _ in rows], np.int32),
    )
    return np.arange(len(rows)), np.array([p for _, p in rows]) / (1 << 20), groups


def slowly(p: Any, groups: Groups, count: int, bits: float, cap: int, first: int) -> list[int]:
    """The definition, pair by pair."""

    def alike(a: int, b: int) -> float:
        if groups.category[a] == NONE or groups.category[a] != groups.category[b]:
            return 0.0
        return 0.5 + 0.25 * float(groups.line[a] == groups.line[b]) + 0.25 * float(groups.band[a] == groups.band[b])

    chosen = [first]
    while len(chosen) < count:
        held = Counter(groups.category[c] for c in chosen)
        left = [
            i
            for i in range(len(p))
            if i not in chosen and not (cap and groups.category[i] != NONE and held[groups.category[i]] >= cap)
        ]
        if not left:
            break
        worth = {i: log2(float(p[i])) - log2(1 - float(p[i])) - bits * max(alike(i, c) for c in chosen) for i in left}
        chosen.append(max(left, key=lambda i: (worth[i], -i)))
    return chosen


@given(lists, st.integers(1, 12), st.sampled_from([0.0, 0.5, 2.0, 30.0]), st.integers(0, 3), st.integers(0, 13))
def test_it_is_the_greedy_rule_pair_by_pair(rows: list[Any], count: int, bits: float, cap: int, first: int) -> None:
    items, p, groups = given_lists(rows)
    first = min(first, len(items) - 1)
    found = diversify(items, p, groups, count, bits=bits, cap=cap, first=first)  # type: ignore[arg-type]
    assert found.tolist() == slowly(p, groups, count, bits, cap, first)


def test_it_is_the_greedy_rule_on_long_lists_of_few_categories_too() -> None:
    """Where what was listed before the last one matters."""
    rng = random.Random(3)
    for _ in range(60):
        rows = [((rng.randrange(3), rng.randrange(3), rng.randrange(2)), rng.randrange(1, 1 << 20)) for _ in range(14)]
        items, p, groups = given_lists(rows)
        found = diversify(items, p, groups, 10, bits=4.0, cap=0)  # type: ignore[arg-type]
        assert found.tolist() == slowly(p, groups, 10, 4.0, 0, 0)


@given(lists, st.integers(1, 12))
def test_switched_off_it_is_the_order_of_the_ranks(rows: list[Any], count: int) -> None:
    items, p, groups = given_lists(rows)
    assert diversify(items, p, groups, count, bits=0.0, cap=0).tolist() == list(range(min(count, len(items))))  # type: ignore[arg-type]


@given(lists, st.sampled_from([0.0, 3.0]), st.integers(1, 3))
def test_no_category_has_more_than_its_cap_and_items_of_none_are_free(rows: list[Any], bits: float, cap: int) -> None:
    items, p, groups = given_lists(rows)
    chosen = diversify(items, p, groups, 20, bits=bits, cap=cap)  # type: ignore[arg-type]
    counted = Counter(groups.category[chosen].tolist())
    untold = counted.pop(NONE, 0)
    assert untold == (groups.category == NONE).sum()
    assert all(count <= cap for count in counted.values())
    assert len(set(chosen.tolist())) == len(chosen)


def test_an_empty_list_stays_empty() -> None:
    assert not len(diversify(np.zeros(0, np.int64), np.zeros(0), ItemIndex(), 3, bits=1.0, cap=1))


def test_a_push_keeps_to_the_cap_whatever_the_cut_and_its_first_item_is_still_the_best() -> None:
    quiet = LearningSettings(learn_rate=0.0)
    before = Shop(CoreSettings(learning=quiet)).run(browsing(400, users=30, seed=1))
    before.publish()
    policy = PolicySettings(score_threshold=0.0)
    plain = CoreSettings(policy=policy, learning=quiet)
    diverse = replace(plain, policy=replace(policy, category_cap=1, diversity_bits=1.0))
    records = browsing(150, users=12, seed=4)
    old, new = (Shop(core, before.index).run(records) for core in (plain, diverse))
    assert Shop(diverse, before.index).run(records, range(1, 150)).result() == new.result()
    category = {f"item-{n}": n % 6 for n in range(60)}
    assert new.total.candidates[0].candidate.items[0] == old.total.candidates[0].candidate.items[0]
    doubled = [
        [len(out.candidate.items) - len({category[item.id] for item in out.candidate.items}) for out in total]
        for total in (new.total.candidates, old.total.candidates)
    ]
    assert not any(doubled[0])
    assert any(doubled[1])


@pytest.mark.parametrize("policy", [PolicySettings(), PolicySettings(slate_items=5)])
def test_evaluation_with_diversity_off_is_what_it_was(policy: PolicySettings) -> None:
    """The digest holds every rank; and with it on, lists differ."""
    events = aisles()
    plain = evaluate(events, EvaluateSettings(baselines="none"))
    same = evaluate(events, EvaluateSettings(baselines="none", core=CoreSettings(policy=policy)))
    assert plain.digest == same.digest
