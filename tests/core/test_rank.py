"""Ranking: the same bits however queries are batched, whichever replica answers, whatever the hash seed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.candidates.registry import GENERATORS
from streamer.core.features import FEATURES
from streamer.core.index import ItemIndex
from streamer.core.models.registry import prior_model
from streamer.core.queries import Queries
from streamer.core.rank import Ranked, contributions, rank_queries, top
from streamer.core.reasons import reasons
from tests.core.shop import RETRIEVAL, Shop, shared_shop
from tests.examples import examples

MODEL = prior_model()


def lists(ranked: Ranked, queries: int) -> list[tuple[list[int], bytes, bytes]]:
    """Each query's list: keys in order, features and probabilities as bytes."""
    out = []
    for q in range(queries):
        rows = ranked.rows(q)
        order = ranked.keys[top(ranked, q, 1000)].tolist()
        out.append((order, ranked.x[:, rows].tobytes(), ranked.p[rows].tobytes()))
    return out


@settings(max_examples=examples(25))
@given(st.integers(0, 5), st.lists(st.integers(0, 32), min_size=1, max_size=30))
def test_a_ranking_is_the_same_alone_or_in_any_batch_and_in_any_replica(seed: int, numbers: list[int]) -> None:
    """Features, scores and order, bit for bit; users 30 and above are strangers."""
    shop = shared_shop(seed % 3, events=400)
    index, replica = shop.index(), shop.index(seed)
    users = [f"user {n}" for n in numbers]
    together = lists(rank_queries(shop.queries(users), index, MODEL), len(users))
    alone = [lists(rank_queries(shop.queries([user]), replica, MODEL), 1)[0] for user in users]
    assert together == alone


def test_the_best_come_first_and_ties_go_to_the_smaller_key() -> None:
    """Against sorted()."""
    shop = shared_shop()
    ranked = rank_queries(shop.queries(sorted(shop.profiles)), shop.index(), MODEL)
    ranked.p[:] = np.rint(ranked.p * 50) / 50
    for q in range(len(shop.profiles)):
        rows = range(ranked.rows(q).start, ranked.rows(q).stop)
        expected = sorted(rows, key=lambda r: (-ranked.p[r], int(ranked.keys[r])))[:20]
        assert top(ranked, q, 20).tolist() == expected


def test_scoring_nobody_and_scoring_with_an_empty_index_give_empty_lists() -> None:
    """A worker's first moments."""
    shop = shared_shop()
    nobody = rank_queries(Queries(RETRIEVAL), shop.index(), MODEL)
    assert (len(nobody.items), nobody.offsets.tolist()) == (0, [0])
    nothing = rank_queries(shop.queries(["user 1"]), ItemIndex(), MODEL)
    assert (len(nothing.items), nothing.offsets.tolist(), top(nothing, 0, 5).tolist()) == (0, [0, 0], [])


def test_probabilities_are_on_the_grid_and_above_zero() -> None:
    """Multiples of 2^-20."""
    shop = shared_shop()
    ranked = rank_queries(shop.queries(sorted(shop.profiles)), shop.index(), MODEL)
    scaled = ranked.p * 2**20
    assert (scaled == np.rint(scaled)).all()
    assert ((ranked.p >= 0.0) & (ranked.p <= 1.0)).all()


def test_the_priors_rank_own_and_related_items_above_what_is_merely_there() -> None:
    """Before anything was learned the first list is already sane."""
    shop = shared_shop()
    index = shop.index()
    ranked = rank_queries(shop.queries(["user 6"]), index, MODEL)
    best = [index.keys[ranked.items[r]] for r in top(ranked, 0, 5)]
    newest = [r.key for r in shop.profiles["user 6"].recents()[-6:]]
    assert set(best) & set(newest)


def test_contributions_add_up_to_the_score_and_reasons_are_words() -> None:
    """Greatest first, every feature once; a phrase has no field left open."""
    shop = shared_shop()
    index = shop.index()
    users = sorted(shop.profiles)
    ranked = rank_queries(shop.queries(users), index, MODEL)
    seen: set[str] = set()
    for q in range(len(users)):
        for row in top(ranked, q, 8).tolist():
            parts = contributions(ranked, row, MODEL)
            assert [p for _, p in parts] == sorted((p for _, p in parts), reverse=True)
            assert {name for name, _ in parts} == {f.name for f in FEATURES}
            words = reasons(ranked, row, q, index, MODEL)
            assert 1 <= len(words) <= 3
            assert len(set(words)) == len(words)
            assert all(phrase and "{" not in phrase for phrase in words)
            seen.update(words)
            assert ranked.generator(row) in {g.name for g in GENERATORS}
    assert any(phrase.startswith("often viewed with ") for phrase in seen)
    assert any(phrase.startswith("you looked at it ") for phrase in seen)


def digest(shop: Shop) -> str:
    """Of all lists of a shop."""
    users = sorted(shop.profiles)
    return hashlib.sha256(
        repr(lists(rank_queries(shop.queries(users), shop.index(), MODEL), len(users))).encode()
    ).hexdigest()


@pytest.mark.slow
def test_rankings_do_not_depend_on_the_hash_seed() -> None:
    """Two fresh interpreters with different PYTHONHASHSEED agree with this one."""
    code = "from tests.core import shop, test_rank; print(test_rank.digest(shop.shared_shop(2, events=300)))"
    root = Path(__file__).parents[2]
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {digest(shared_shop(2, events=300))}
