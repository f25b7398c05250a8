"""The item index: one and the same whatever order its rows came in."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.events import group_key, item_key
from streamer.core.index import ItemIndex
from streamer.core.items.rows import index_row
from streamer.core.items.state import ItemState
from streamer.core.names import NONE
from streamer.core.retrieval_settings import ItemSettings
from streamer.core.toplist import TopList

SETTINGS = ItemSettings()
NAMES = [f"i{n}" for n in range(12)]
KEYS = [item_key(name) for name in NAMES]


def state(name: str, trend: int = 1024, popularity: int = 1024, category: str = "shoes", **more: Any) -> ItemState:
    """An item seen, with sums of one era."""
    return ItemState(
        item_key(name),
        name,
        views=3,
        first_ms=1_570_000_000_000,
        words=(category, "acme", f"title of {name}"),
        price_cents=1000,
        trend=(100, trend, 0),
        popularity=(10, popularity, 0),
        **more,
    )


def row(*args: Any, **kwargs: Any) -> bytes:
    """The published row of ``state``."""
    return index_row(state(*args, **kwargs), SETTINGS)


def described(index: ItemIndex) -> dict[str, object]:
    """All an index says, by item key, with no dense id in it."""
    everybody = np.arange(len(index))
    ids, amounts = index.neighbours(everybody)
    keys = index.keys.tolist()
    names = [*index.categories.names, ""]
    of_item = {
        keys[d]: (
            index.id_of(d),
            index.title(d),
            names[index.category[d]],
            [*index.brands.names, ""][index.brand[d]],
            repr(float(index.price[d])),
            float(index.trend[d]),
            float(index.popularity[d]),
            float(index.views[d]),
            bool(index.known[d]),
            bool(index.in_stock[d]),
            [(keys[i], a) for i, a in zip(ids[d].tolist(), amounts[d].tolist(), strict=True) if i != NONE],
        )
        for d in range(len(index))
        if index.known[d]
    }
    tops = {name: index.keys[index.tops.of("category", c)].tolist() for c, name in enumerate(index.categories.names)}
    return {
        "items": of_item,
        "trending": index.keys[index.tops.trending()].tolist(),
        "tops": {name: top for name, top in tops.items() if top},
    }


ROWS = st.lists(
    st.one_of(
        st.tuples(
            st.just("row"),
            st.integers(0, 11),
            st.integers(0, 5),
            st.sampled_from(["shoes", "hats", ""]),
            st.dictionaries(st.sampled_from(KEYS), st.integers(1, 4), max_size=5),
        ),
        st.tuples(st.just("gone"), st.integers(0, 11)),
        st.tuples(st.just("catalog"), st.integers(0, 11), st.sampled_from(["bags", "hats"]), st.integers(0, 1)),
        st.tuples(st.just("uncatalog"), st.integers(0, 11)),
    ),
    max_size=40,
)


def apply(index: ItemIndex, change: tuple[Any, ...]) -> None:
    """One row of either topic."""
    match change:
        case ("row", item, sums, category, pairs):
            index.apply_row(KEYS[item], row(NAMES[item], sums, sums * 3 % 5, category, pairs=pairs))
        case ("gone", item):
            index.apply_row(KEYS[item], None)
        case ("catalog", item, category, stock):
            assert index.apply_catalog(NAMES[item], json.dumps({"category": category, "stock": stock}).encode())
        case ("uncatalog", item):
            index.apply_catalog(NAMES[item], None)


@settings(max_examples=80)
@given(ROWS, st.data())
def test_an_index_is_the_same_for_any_interleaving_of_its_partitions(
    changes: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    """Rows of one item in one topic keep their order; all else may come in any order, and be read at any time."""
    one, other = ItemIndex(capacity=2), ItemIndex(capacity=64)
    for change in changes:
        apply(one, change)
    queues: dict[tuple[bool, int], list[tuple[Any, ...]]] = {}
    for change in changes:
        queues.setdefault((change[0] in ("row", "gone"), change[1]), []).append(change)
    while queues:
        lane = data.draw(st.sampled_from(sorted(queues)))
        apply(other, queues[lane].pop(0))
        if not queues[lane]:
            del queues[lane]
        if data.draw(st.booleans()):
            described(other)
    assert described(one) == described(other)


@pytest.mark.parametrize("seed", range(20))
def test_a_top_list_is_what_sorting_everything_gives(seed: int) -> None:
    """After many rises and falls, with ties to the smaller key, however often it is read."""
    random = Random(seed)
    levels = np.full(60, float("-inf"))
    keys = np.array(random.sample(range(1000), 60), np.uint64)
    top = TopList(4)
    for n in range(400):
        item = random.randrange(60)
        levels[item] = random.choice([float("-inf"), *range(1, 9)])
        top.offer(item, float(levels[item]))
        if n % (seed + 1) == 0:
            expected = sorted((i for i in range(60) if levels[i] > 0), key=lambda i: (-levels[i], keys[i]))[:4]
            assert top.order(levels, keys, np.arange(60)).tolist() == expected


def test_an_item_that_is_forgotten_is_in_no_list() -> None:
    """Neither trending nor at the top of its category; nor known, unless the catalog has it."""
    index = ItemIndex()
    for name, key in zip(NAMES, KEYS, strict=True):
        index.apply_row(key, row(name))
        index.apply_catalog(name, b"{}")
    index.apply_row(KEYS[3], None)
    index.apply_catalog(NAMES[3], None)
    index.apply_row(KEYS[4], None)
    gone = {index.dense(KEYS[3]), index.dense(KEYS[4])}
    left = {index.dense(key) for key in KEYS} - gone
    assert set(index.tops.trending().tolist()) == left
    assert set(index.tops.of("category", index.categories.id("shoes")).tolist()) == left
    assert [bool(index.known[index.dense(key)]) for key in KEYS[2:5]] == [True, False, True]


def test_neighbours_that_tie_come_by_key() -> None:
    """Whatever order the row has them in."""
    for pairs in ({KEYS[1]: 5, KEYS[2]: 5, KEYS[3]: 5}, {KEYS[3]: 5, KEYS[2]: 5, KEYS[1]: 5}):
        index = ItemIndex()
        index.apply_row(KEYS[0], row("i0", pairs=pairs))
        ids, _ = index.neighbours(np.array([index.dense(KEYS[0])]), 3)
        assert index.keys[ids[0]].tolist() == sorted(KEYS[1:4])


def test_a_state_of_this_process_reads_as_its_published_row() -> None:
    """The short way and the way through the topic, also after the state has changed."""
    short, long = ItemIndex(), ItemIndex()
    for pairs in ({KEYS[1]: 5}, {KEYS[1]: 5, KEYS[2]: 9}):
        changed = state("i0", pairs=pairs)
        short.apply_state(changed)
        long.apply_row(changed.key, index_row(changed, SETTINGS))
    assert described(short) == described(long)


def test_the_catalog_goes_before_events_and_its_tombstone_gives_way_again() -> None:
    """Attributes come back as events told them; the item stays known."""
    index = ItemIndex()
    index.apply_row(KEYS[0], row("i0"))
    value = (
        b'{"id":"i0","title":"Red shoe","categories":["Boots","Shoes"],"brand":"Zed","price":5,"stock":0,"tags":["x"]}'
    )
    assert index.apply_catalog("i0", value)
    dense = index.dense(KEYS[0])
    assert (index.title(dense), index.category_name(group_key("Boots"))) == ("Red shoe", "Boots")
    assert index.category[dense] == index.categories.id("Boots")
    assert not index.in_stock[dense]
    assert index.price[dense] == pytest.approx(np.log2(500), rel=1e-6)
    assert index.apply_catalog("i0", None)
    assert (index.title(dense), bool(index.in_stock[dense]), bool(index.known[dense])) == ("title of i0", True, True)
    assert index.category[dense] == index.categories.id("shoes")


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff\xfe", b"nonsense", b"[]", b"3", b'{"price":"cheap"}', b'{"categories":"Shoes"}', b"[" * 100_000],
)
def test_a_malformed_catalog_row_is_refused_and_changes_nothing(value: bytes) -> None:
    """By the answer, not by an exception."""
    index = ItemIndex()
    assert index.apply_catalog("i0", value) is False
    assert (len(index), index.version) == (0, 0)


def test_a_malformed_index_row_raises_and_changes_nothing() -> None:
    """The caller counts it as it counts any bad row."""
    index = ItemIndex()
    for bad in (b"", b"\xc1", b"\x90"):
        with pytest.raises(msgspec.DecodeError):
            index.apply_row(1, bad)
    with pytest.raises(ValueError, match="version"):
        index.apply_row(1, msgspec.msgpack.encode([9, "", 0, 0, 0, 0, ["", "", ""], 0, 0.0, 0.0, 0.0, b"", b""]))
    assert (len(index), index.version) == (0, 0)


def test_an_item_only_mentioned_as_a_neighbour_is_not_known() -> None:
    """It has a dense id, but may not be proposed until it has a row."""
    index = ItemIndex()
    index.apply_row(KEYS[0], row("i0", pairs={KEYS[1]: 7}))
    ids, _ = index.neighbours(np.array([index.dense(KEYS[0])]))
    assert ids[0, 0] == index.dense(KEYS[1]) != NONE
    assert not index.known[index.dense(KEYS[1])]
    assert index.dense(KEYS[2]) == NONE


def test_neighbours_come_strongest_first() -> None:
    """And only as many as asked for."""
    index = ItemIndex()
    index.apply_row(KEYS[0], row("i0", pairs={k: n for n, k in enumerate(KEYS[1:7], 1)}))
    ids, amounts = index.neighbours(np.array([index.dense(KEYS[0])]), 3)
    assert index.keys[ids[0]].tolist() == [KEYS[6], KEYS[5], KEYS[4]]
    assert amounts[0].tolist() == [6.0, 5.0, 4.0]
