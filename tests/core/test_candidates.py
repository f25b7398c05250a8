"""Contract of every generator, and of the pool they fill; then what each is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.candidates import covisitation
from streamer.core.candidates.pool import retrieve
from streamer.core.candidates.registry import GENERATORS
from streamer.core.events import item_key
from streamer.core.index import ItemIndex
from streamer.core.queries import Queries
from tests.core.shop import RETRIEVAL, START_MS, Shop, make_shop

if TYPE_CHECKING:
    from streamer.core.candidates.proposals import Generator

EVERY = pytest.mark.parametrize("generator", GENERATORS, ids=lambda g: g.name)


@pytest.fixture(scope="module")
def shop() -> Shop:
    """Read-only."""
    return make_shop()


@EVERY
def test_proposals_are_known_items_of_the_batch_with_finite_scores(generator: Generator, shop: Shop) -> None:
    """In query order, one score a column a row, none negative."""
    index = shop.index()
    index.apply_row(shop.profiles["user 2"].recents()[-1].key, None)
    queries = shop.queries([*sorted(shop.profiles), "stranger"])
    made = generator.propose(queries.asked(index), index, RETRIEVAL)
    assert len(made.item) > 0
    assert index.known[made.item].all()
    assert (np.diff(made.query) >= 0).all()
    assert made.query.max() < len(queries)
    assert len(made.scores) == len(generator.columns)
    for score in made.scores:
        assert len(score) == len(made.item)
        assert (np.isfinite(score) & (score >= 0.0)).all()


@EVERY
def test_proposals_to_one_query_do_not_depend_on_the_others(generator: Generator, shop: Shop) -> None:
    """Bit for bit, and in the same order, in another replica too."""
    users = sorted(shop.profiles)
    index, replica = shop.index(), shop.index(seed=5)
    together = generator.propose(shop.queries(users).asked(index), index, RETRIEVAL)
    for q, user in enumerate(users):
        alone = generator.propose(shop.queries([user]).asked(replica), replica, RETRIEVAL)
        mine = together.query == q
        assert replica.keys[alone.item].tolist() == index.keys[together.item[mine]].tolist()
        for one, other in zip(alone.scores, together.scores, strict=True):
            assert one.tolist() == other[mine].tolist()


@EVERY
def test_an_empty_index_and_an_empty_batch_give_nothing(generator: Generator, shop: Shop) -> None:
    """A worker's first moments."""
    empty = ItemIndex()
    assert len(generator.propose(shop.queries(["user 1"]).asked(empty), empty, RETRIEVAL).item) == 0
    index = shop.index()
    assert len(generator.propose(Queries(RETRIEVAL).asked(index), index, RETRIEVAL).item) == 0


def test_generators_have_distinct_columns() -> None:
    """Scores are found by name."""
    columns = [column for generator in GENERATORS for column in generator.columns]
    assert len(set(columns)) == len(columns)
    assert GENERATORS[0].name == "recent"


def test_the_pool_holds_each_proposed_item_once_with_its_scores_added(shop: Shop) -> None:
    """Checked against dicts."""
    index = shop.index()
    asked = shop.queries(sorted(shop.profiles)).asked(index)
    pool = retrieve(asked, index, RETRIEVAL)
    expected: dict[tuple[int, int], dict[str, float]] = {}
    for generator in GENERATORS:
        made = generator.propose(asked, index, RETRIEVAL)
        for n, place in enumerate(zip(made.query.tolist(), made.item.tolist(), strict=True)):
            scores = expected.setdefault(place, {})
            for column, values in zip(generator.columns, made.scores, strict=True):
                scores[column] = scores.get(column, 0.0) + float(values[n])
    by_query = sorted(expected, key=lambda place: place[0])
    assert list(zip(pool.query.tolist(), pool.item.tolist(), strict=True)) == by_query
    for column, values in pool.scores.items():
        assert values.tolist() == [expected[place].get(column, 0.0) for place in by_query]
    assert pool.offsets.tolist() == [sum(q < n for q, _ in by_query) for n in range(asked.count + 1)]


def test_own_rows_of_the_pool_are_the_recents(shop: Shop) -> None:
    """Each recent once, and nothing else."""
    index = shop.index()
    asked = shop.queries(sorted(shop.profiles)).asked(index)
    pool = retrieve(asked, index, RETRIEVAL)
    mine = np.flatnonzero(pool.own >= 0)
    assert sorted(pool.own[mine].tolist()) == list(range(len(asked.recents.item)))
    assert pool.item[mine].tolist() == asked.recents.item[pool.own[mine]].tolist()
    assert pool.query[mine].tolist() == asked.recents.query[pool.own[mine]].tolist()


def test_covisitation_finds_what_others_touched_together() -> None:
    """Two shoppers pair a lamp with a bulb; a third who looks at the lamp is offered the bulb."""
    shop = make_shop(events=0)
    from streamer.core.events import Event, Line

    for n, (user, name) in enumerate([("a", "lamp"), ("a", "bulb"), ("b", "lamp"), ("b", "bulb"), ("c", "lamp")]):
        shop.happen(Event(user, str(n), "t", "view", START_MS + n * 1000, n, (Line(name, item_key(name)),)))
    index = shop.index()
    made = covisitation.propose(shop.queries(["c"]).asked(index), index, RETRIEVAL)
    assert [index.id_of(i) for i in made.item.tolist()] == ["bulb"]
