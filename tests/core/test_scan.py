"""The search of all vectors: against a plain one, and exact wherever items lie and whoever else asks."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.candidates import vectors
from streamer.core.events import item_key
from streamer.core.index import ItemIndex
from streamer.core.retrieval_settings import RetrievalSettings
from streamer.core.vectors.block import encode_block
from streamer.core.vectors.learner import FARTHEST
from streamer.core.vectors.scan import Scan
from tests.core.shop import RETRIEVAL, make_shop

NOBODY = np.zeros(0, np.int64), np.zeros(0, np.int64)


def drawn(seed: int, rows: int, size: int) -> np.ndarray:
    """Some of them far out, some equal to others."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(rows, size)) * rng.choice([0.1, 1.0, 6.0], size=(rows, 1))
    found[rng.random(rows) < 0.2] = found[0]
    held: np.ndarray = np.clip(found, -FARTHEST, FARTHEST)
    return held


def scanned(items: np.ndarray, at: np.ndarray) -> Scan:
    scan = Scan(items.shape[1])
    scan.put(at, items)
    return scan


def plain(scan: Scan, items: np.ndarray, shopper: np.ndarray) -> list[int]:
    """Products in whole numbers, by Python's own."""
    fine = scan.one / 128.0
    mine = [round(float(v)) for v in np.rint(shopper * (fine / max(float(np.abs(shopper).max()), 1e-9)))]
    return [sum(a * round(float(b)) for a, b in zip(mine, np.rint(row * 128.0), strict=True)) for row in items]


@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 3000),
    size=st.sampled_from([2, 32, 256]),
    shoppers=st.integers(1, 20),
    count=st.sampled_from([1, 7, 40]),
)
def test_the_greatest_products_are_among_what_is_found_and_are_exact(
    seed: int, rows: int, size: int, shoppers: int, count: int
):
    """Also where vectors are as far out as they may be and rows more than are multiplied at once."""
    items, asking = drawn(seed, rows, size).astype(np.float16).astype(np.float64), drawn(seed + 1, shoppers, size)
    scan = scanned(items, np.random.default_rng(seed).permutation(rows))
    at = np.random.default_rng(seed).permutation(rows)
    query, item, amount = scan.greatest(asking, NOBODY, count)
    assert query.tolist() == sorted(query.tolist())
    for shopper in {0, shoppers - 1}:
        expected = dict(zip(at.tolist(), plain(scan, items, asking[shopper]), strict=True))
        mine = (query == shopper).nonzero()[0]
        found = dict(zip(item[mine].tolist(), amount[mine].tolist(), strict=True))
        assert found == {each: expected[each] for each in found}
        best = sorted((product for product in expected.values() if product > 0), reverse=True)[:count]
        assert sorted(found.values(), reverse=True)[: len(best)] == best


def test_what_a_shopper_touched_is_left_out_and_no_one_elses():
    items = np.ones((5, 4))
    scan = scanned(items, np.arange(5))
    query, item, _ = scan.greatest(np.ones((2, 4)), (np.array([1, 1]), np.array([0, 3])), 5)
    assert item[query == 0].tolist() == [0, 1, 2, 3, 4]
    assert item[query == 1].tolist() == [1, 2, 4]


def test_what_is_forgotten_or_opposite_or_asked_by_nobody_known_is_not_found():
    """A shopper of whose items none has a vector is all zeros."""
    scan = scanned(np.array([[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0]]), np.arange(3))
    scan.forget(np.array([2]))
    query, item, _ = scan.greatest(np.array([[0.0, 0.0], [1.0, 0.0]]), NOBODY, 5)
    assert (query.tolist(), item.tolist()) == ([1], [0])
    assert not len(Scan(0).greatest(np.zeros((3, 0)), NOBODY, 5)[0])


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_the_generator_proposes_what_fits_best_of_what_is_new_to_the_shopper(seed: int | None):
    """Best first, as products of the served vectors have it, and the same whatever the dense ids are."""
    shop = make_shop()
    index, users = shop.index(seed), sorted(shop.profiles)
    asked = shop.queries(users).asked(index)
    found = vectors.propose(asked, index, RetrievalSettings(vector_items=5))
    again = vectors.propose(shop.queries(users).asked(other := shop.index(7)), other, RetrievalSettings(vector_items=5))
    names = [index.id_of(item) for item in found.item.tolist()]
    assert names == [other.id_of(item) for item in again.item.tolist()]
    assert len(names) > 3 * len(users)
    for query in Random(3).sample(range(len(users)), 5):
        mine = found.item[found.query == query]
        own = set(asked.recents.item[asked.recents.query == query].tolist())
        new = [item for item in range(len(index)) if index.vectors.length[item] and item not in own]
        fits = index.vectors.vectors.astype(np.float64) @ asked.factors[query]
        best = sorted(new, key=lambda item: -fits[item])[: len(mine)]
        assert fits[mine] == pytest.approx(fits[best], abs=0.02)
        assert (np.diff(fits[mine]) < 0.02).all()


def test_vectors_that_come_change_or_go_after_the_first_search_are_searched_as_they_are():
    """As an index finds them that begins to search only then; also where they have another width than before."""
    rng = np.random.default_rng(5)
    keys = np.array([item_key(f"item-{n}") for n in range(60)], np.uint64)

    def block(some: np.ndarray, size: int = 8) -> bytes:
        return encode_block(some, rng.normal(size=(len(some), size)).astype(np.float32))

    searched, late = ItemIndex(), ItemIndex()
    blocks: list[tuple[str, bytes | None]] = [
        ("vec/001", block(keys[:30])),
        ("vec/002", block(keys[30:])),
        ("vec/001", block(keys[5:20])),
        ("vec/002", None),
        ("vec/003", block(keys, 4)),
    ]
    for name, value in blocks:
        for index in (searched, late):
            index.vectors.apply(name, value)
            index.vectors.settle()
        size = searched.vectors.vectors.shape[1]
        asking = np.random.default_rng(6).normal(size=(3, size))
        found = searched.vectors.scan.greatest(asking, NOBODY, 100)
        late.vectors._scan = None
        expected = late.vectors.scan.greatest(asking, NOBODY, 100)
        assert len(found[0]) > 0
        assert [column.tolist() for column in found] == [column.tolist() for column in expected]


def test_an_item_that_nobody_tells_of_is_not_proposed_though_it_has_a_vector():
    """The trainer may know it before the item index does."""
    shop = make_shop(events=200)
    index = shop.index()
    stranger = item_key("stranger")
    index.vectors.put(np.array([stranger], np.uint64), np.full((1, 32), 8.0, np.float32))
    asked = shop.queries(sorted(shop.profiles)).asked(index)
    found = vectors.propose(asked, index, RETRIEVAL)
    assert index.dense(stranger) not in found.item.tolist()
    off = vectors.propose(asked, index, RetrievalSettings())
    assert not len(off.item)
    empty = ItemIndex()
    assert not len(vectors.propose(shop.queries(["user-1"]).asked(empty), empty, RETRIEVAL).item)
