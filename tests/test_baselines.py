"""The baselines: each ranks as its one line says."""

from __future__ import annotations

from collections import Counter
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.evaluation.baselines.als import Als, available
from streamer.evaluation.baselines.base import Shopper, best, remember
from streamer.evaluation.baselines.blend import Blend
from streamer.evaluation.baselines.pairs import CoVisitation, ItemCosine
from streamer.evaluation.baselines.popular import Popularity, Trending
from streamer.evaluation.baselines.registry import NAMES, Baselines, chosen
from streamer.evaluation.baselines.repeat import Repeat
from streamer.evaluation.baselines.vsknn import VSknn

SIZE = 20


def shown(baseline, *sightings):
    """Each sighting a user of its own without a history."""
    for number, item in enumerate(sightings):
        baseline.see(Shopper(number), [item])
    return baseline


def shopped(baseline, *groups, number=0):
    """One shopper, group by group."""
    shopper = Shopper(number)
    for group in groups:
        baseline.see(shopper, group)
        remember(shopper.history, group)
    return shopper


def sessions(baseline, *each):
    """Shoppers 0, 1, …, each item a group of its own."""
    return [shopped(baseline, *([item] for item in items), number=n) for n, items in enumerate(each)]


@given(st.lists(st.integers(0, 40), max_size=300))
def test_popularity_is_the_count_of_sightings(sightings):
    ranked = shown(Popularity(), *sightings).rank(Shopper(0), SIZE)
    counts = Counter(sightings)
    assert [counts[item] for item in ranked] == sorted(counts.values(), reverse=True)[:SIZE]
    assert len(set(ranked)) == len(ranked)


def test_popularity_can_name_all_there_are():
    """Further down than what it keeps in order."""
    sightings = [item for item in range(200) for _ in range(1 + item % 7)]
    expected = sorted(range(200), key=lambda item: -(1 + item % 7))
    assert shown(Popularity(), *sightings).rank(Shopper(0), 500) == expected


def test_trending_forgets_what_was_popular_long_ago():
    sightings = [1] * 3000 + [2, 3, 4] * 20_000 + [5] * 8000
    assert shown(Trending(), *sightings).rank(Shopper(0), SIZE)[0] == 5
    assert shown(Popularity(), *sightings).rank(Shopper(0), SIZE).index(5) == 3


def test_trending_goes_on_over_any_number_of_sightings():
    """Worth doubles every 5,000 sightings and would overflow a float after five million, if it were not scaled."""
    trending = Trending()
    trending._worth = 1e199
    shown(trending, *[1] * 10, *[2] * 20_000, *[3] * 5)
    assert trending._worth < 1e199
    assert trending.rank(Shopper(0), SIZE) == [2, 3, 1]


def test_repeat_names_the_most_seen_first_then_the_newest():
    repeat = Repeat()
    assert repeat.rank(shopped(repeat, [1, 2], [3], [1], [4]), SIZE) == [1, 4, 3, 2]


def test_co_visitation_names_what_others_saw_next_to_the_newest_item():
    pairs = CoVisitation()
    for others in ([1, 2], [1, 2], [1, 3], [5, 6]):
        pairs.see(Shopper(0), others)
    assert pairs.rank(Shopper(9, {5: 1, 1: 1}), SIZE) == [2, 3, 6]


def test_co_visitation_keeps_the_strongest_of_many_neighbours():
    pairs = CoVisitation()
    for other in range(2, 500):
        for _ in range(1 + (other == 3)):
            pairs.see(Shopper(0), [1, other])
    assert len(pairs.pairs.rows[1]) <= 200
    assert pairs.rank(Shopper(0, {1: 1}), SIZE)[0] == 3


def test_item_cosine_is_users_of_both_over_the_root_of_users_of_each():
    """Against the matrix of users and items, multiplied out."""
    random = np.random.default_rng(1)
    each = [random.permutation(12)[: random.integers(1, 7)].tolist() for _ in range(40)]
    cosine = ItemCosine()
    sessions(cosine, *each)
    seen = np.zeros((len(each), 12))
    for user, items in enumerate(each):
        seen[user, items] = 1
    norm = np.sqrt(seen.sum(axis=0))
    expected = (seen.T @ seen - np.diag(seen.sum(axis=0))) / np.outer(norm, norm)
    items, scores = cosine.scores(Shopper(99, {3: 1, 5: 2}))
    assert dict(zip(items.tolist(), scores.tolist(), strict=True)) == pytest.approx(
        {i: v for i, v in enumerate((expected[3] + expected[5]).tolist()) if v > 0}
    )


def reference_vsknn(past, current):
    """The definition in plain Python: ``VMContextKNN`` at its defaults, sessions within the sample."""
    length = len(current)
    weight = {item: at / length for at, item in enumerate(current, 1)}
    similar = [(sum(weight[i] for i in set(current) & set(items)) / length, n) for n, items in enumerate(past)]
    nearest = sorted((pair for pair in similar if pair[0] > 0), key=lambda pair: (-pair[0], -pair[1]))[:100]
    scores: dict[int, float] = {}
    for similarity, n in nearest:
        step = next(at for at, item in enumerate(reversed(current), 1) if item in past[n])
        for item in set(past[n]):
            scores[item] = scores.get(item, 0.0) + similarity / step
    return scores


@pytest.mark.parametrize("seed", range(5))
def test_nearest_sessions_are_those_of_the_definition(seed):
    """More neighbours than are taken, so that the choice of them shows as well."""
    random = np.random.default_rng(seed)
    past = [random.permutation(30)[: random.integers(2, 8)].tolist() for _ in range(400)]
    knn = VSknn()
    sessions(knn, *past)
    current = random.permutation(30)[:5].tolist()
    items, scores = knn.scores(Shopper(5000, dict.fromkeys(current, 1)))
    expected = reference_vsknn(past, current)
    assert dict(zip(items.tolist(), scores.tolist(), strict=True)) == pytest.approx(expected)
    assert len(expected) > 20


def test_a_shopper_is_no_neighbour_of_their_own_and_old_sessions_give_way_to_new():
    knn = VSknn()
    (own,) = sessions(knn, [1, 2, 3])
    assert knn.rank(own, SIZE) == []
    for number in range(1, 1500):
        shopped(knn, [1], [4 if number < 600 else 5], number=number)
    neighbours, _ = knn.neighbours(Shopper(0, {1: 1}))
    assert neighbours.tolist() == list(range(1499, 1399, -1))
    assert set(knn.rank(Shopper(0, {1: 1}), SIZE)) == {1, 5}
    assert all(len(kept) <= 2000 for kept in knn._sessions.values())


def test_the_blend_adds_shares_of_each_parts_best():
    class Fixed:
        def __init__(self, **scores):
            self._scores = np.array([int(k[1:]) for k in scores]), np.array([*scores.values()], float)

        def scores(self, shopper):
            return self._scores

    blend = Blend(((1.0, Fixed(i1=10, i2=5)), (1.0, Fixed(i2=3, i3=3)), (0.5, Fixed(i4=7))))
    items, scores = blend.scores(Shopper(0))
    assert dict(zip(items.tolist(), scores.tolist(), strict=True)) == {1: 1.0, 2: 1.5, 3: 1.0, 4: 0.5}
    assert blend.rank(Shopper(0), SIZE) == [2, 1, 3, 4]


@pytest.mark.skipif(not available(), reason="implicit is not installed")
def test_als_solves_for_a_shopper_as_implicit_does():
    import implicit.als
    from scipy.sparse import csr_matrix

    random = np.random.default_rng(2)
    als = Als()
    people = [shopped(als, *random.integers(0, 50, (8, 1)).tolist(), number=n) for n in range(300)]
    assert als.fits >= 1
    model = implicit.als.AlternatingLeastSquares(64, regularization=0.05, alpha=20.0, use_gpu=False)
    model.item_factors = als._vectors.astype(np.float32)
    row = np.zeros((1, len(als._vectors)), np.float32)
    for item, count in people[7].history.items():
        row[0, item] = count
    theirs = model.item_factors @ np.asarray(model.recalculate_user(0, csr_matrix(row)))
    ours = np.zeros(len(theirs))
    items, scores = als.scores(people[7])
    ours[items] = scores
    assert ours == pytest.approx(np.maximum(theirs, 0), abs=0.02)
    assert sqrt(float((ours**2).sum())) > 0.5


@given(st.lists(st.integers(0, 6), max_size=200), st.integers(1, 30))
def test_the_best_are_those_of_a_stable_sort(values, count):
    scores = np.arange(len(values)), np.array(values, float)
    assert best(scores, count) == sorted(range(len(values)), key=lambda i: (-values[i], i))[:count]


def test_baselines_are_chosen_by_word_or_by_name_and_parts_learn_though_not_asked_for():
    assert chosen("all") == NAMES
    assert chosen("none") == ()
    assert chosen("v-sknn, trending") == ("trending", "v-sknn")
    with pytest.raises(ValueError, match="nearest"):
        chosen("nearest")
    assert [b.name for b in Baselines("blend").chosen] == ["blend"]
    assert {b.name for b in Baselines("blend").learning} >= {"popularity", "co-visitation", "v-sknn"}
    assert Baselines("none").learning == []


def test_a_baseline_that_cannot_be_had_is_named_with_the_reason(monkeypatch):
    monkeypatch.setattr("streamer.evaluation.baselines.als.find_spec", lambda _: None)
    found = Baselines("all")
    assert "als" not in [b.name for b in found.chosen]
    assert "streamer[als]" in found.missing["als"]
