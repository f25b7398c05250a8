"""The baselines: each ranks as its one line says."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamer.baselines import SIZE, CoVisitation, History, Popularity, Repeat, Trending, baselines, remember


def shown(baseline, *sightings):
    """Each sighting a user of its own without a history."""
    for item in sightings:
        baseline.see({}, [item])
    return baseline


@given(st.lists(st.integers(0, 40), max_size=300))
def test_popularity_is_the_count_of_sightings(sightings):
    ranked = shown(Popularity(), *sightings).rank({})
    counts = Counter(sightings)
    assert [counts[item] for item in ranked] == sorted(counts.values(), reverse=True)[:SIZE]
    assert len(set(ranked)) == len(ranked)


def test_trending_forgets_what_was_popular_long_ago():
    sightings = [1] * 3000 + [2, 3, 4] * 20_000 + [5] * 8000
    assert shown(Trending(), *sightings).rank({})[0] == 5
    assert shown(Popularity(), *sightings).rank({}).index(5) == 3


def test_trending_goes_on_over_any_number_of_sightings():
    """Worth doubles every 5,000 sightings and would overflow a float after five million, if it were not scaled."""
    trending = Trending()
    trending._worth = 1e199
    shown(trending, *[1] * 10, *[2] * 20_000, *[3] * 5)
    assert trending._worth < 1e199
    assert trending.rank({}) == [2, 3, 1]


def test_repeat_names_the_most_seen_first_then_the_newest_then_the_popular():
    popularity = shown(Popularity(), 9, 9, 7)
    history: History = {}
    for group in ([1, 2], [3], [1], [4]):
        remember(history, group)
    assert Repeat(popularity).rank(history) == [1, 4, 3, 2, 9, 7]


def test_co_visitation_names_what_others_saw_next_to_the_newest_item():
    pairs, history = CoVisitation(Popularity()), History()
    for others in ([1, 2], [1, 2], [1, 3], [5, 6]):
        pairs.see({}, others)
    remember(history, [5, 1])
    assert pairs.rank(history) == [2, 3, 6]


def test_co_visitation_keeps_the_strongest_of_many_neighbours():
    pairs = CoVisitation(Popularity())
    for other in range(2, 500):
        for _ in range(1 + (other == 3)):
            pairs.see({}, [1, other])
    assert len(pairs._pairs[1]) <= 200
    assert pairs.rank({1: 1})[0] == 3


def test_all_choices_share_one_popularity():
    assert [b.name for b in baselines("all")] == ["popularity", "trending", "repeat", "co-visitation"]
    assert [b.name for b in baselines("cheap")] == ["popularity", "trending", "repeat"]
    assert baselines("none") == []
