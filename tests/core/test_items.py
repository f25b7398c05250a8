"""The item role's sums: what users did comes out the same however it was cut up on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.decay import value
from streamer.core.events import Event, Line, item_key
from streamer.core.items.deltas import ItemDeltas, touched_before
from streamer.core.items.fold import apply_block, apply_blocks, apply_deltas
from streamer.core.items.leads import Leads, bought_with
from streamer.core.items.rows import index_row
from streamer.core.items.state import ItemState, row_key, strongest
from streamer.core.profile import fold
from streamer.core.retrieval_settings import ItemSettings
from streamer.core.settings import ProfileSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

SETTINGS = ItemSettings()
START_MS = 1_570_000_000_000
NAMES = ("a", "b", "c", "d", "e")
KEYS = {name: item_key(name) for name in NAMES}


class Store:
    """A table in memory that returns fresh objects, as the real ones do."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def get_many(self, keys: Sequence[str]) -> list[ItemState | None]:
        """The rows, decoded anew."""
        return [msgspec.msgpack.decode(self.rows[k], type=ItemState) if k in self.rows else None for k in keys]

    def put(self, states: dict[int, ItemState]) -> None:
        """Write what a block touched."""
        self.rows.update({row_key(k): msgspec.msgpack.encode(s) for k, s in states.items()})

    def states(self) -> dict[str, ItemState]:
        """All rows; neighbours compare as dicts, without order."""
        return {k: msgspec.msgpack.decode(v, type=ItemState) for k, v in self.rows.items()}


def event(item: str, at_s: int = 0, kind: str = "view", **line: str | float) -> Event:
    """One line at a time after the start."""
    one = Line(item, KEYS[item], **line)  # type: ignore[arg-type]  # the keywords are checked by Line itself
    return Event("u", "", "s", kind, START_MS + at_s * 1000, 0, (one,))


def state_after(*deltas: ItemDeltas, partitions: int = 1) -> dict[str, ItemState]:
    """The item role's rows after the deltas' blocks, in turn."""
    store = Store()
    for delta in deltas:
        for block in delta.blocks(partitions).values():
            store.put(apply_block(block, store, SETTINGS))
    return store.states()


WORK = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.integers(0, 3 * 24 * 30 * 86_400),
        st.sampled_from(["view", "cart", "purchase", "list_view", "refund"]),
        st.sampled_from(["", "shoes", "hats"]),
        st.sampled_from([1.0, 9.99, float("nan")]),
        st.lists(st.sampled_from(NAMES), max_size=5),
    ),
    max_size=12,
)


def deltas_of(work: Sequence[tuple[str, int, str, str, float, list[str]]]) -> ItemDeltas:
    """One accumulator over all of it."""
    deltas = ItemDeltas()
    for item, at_s, kind, category, price, before in work:
        happened = event(item, at_s, kind, category=category, price=price)
        near = [KEYS[b] for b in dict.fromkeys(before)]
        node = bought_with(KEYS[item])
        deltas.add(happened, near, SETTINGS, Leads([(node, 256)], [(node, near, 256), (node, near[:1], 128)]))
    return deltas


@settings(max_examples=60)
@given(WORK, st.data())
def test_state_is_independent_of_grouping_order_and_partitions(
    work: list[tuple[str, int, str, str, float, list[str]]], data: st.DataObject
) -> None:
    """Any cut into commits, any order of the blocks, folded one by one or together, and any number of partitions."""
    cut = data.draw(st.integers(0, len(work)))
    expected = state_after(deltas_of(work))
    assert state_after(deltas_of(work[cut:]), deltas_of(work[:cut]), partitions=3) == expected
    together = Store()
    blocks = [block for part in (work[cut:], work[:cut]) for block in deltas_of(part).blocks(1).values()]
    touched, refused = apply_blocks([*blocks, b"no block"], together, SETTINGS)
    together.put(touched)
    assert (together.states(), refused) == (expected, 1)


@given(WORK)
def test_deltas_applied_directly_equal_deltas_applied_as_blocks(
    work: list[tuple[str, int, str, str, float, list[str]]],
) -> None:
    """The short way of one process is the way through the topic."""
    store = Store()
    store.put(apply_deltas(deltas_of(work), store, SETTINGS))
    assert store.states() == state_after(deltas_of(work))


def test_an_event_counts_by_its_kind_and_weighs_by_its_interest() -> None:
    """A view is one unit, a cart three."""
    deltas = ItemDeltas()
    deltas.add(event("a"), [], SETTINGS)
    deltas.add(event("a", 1, "cart"), [], SETTINGS)
    state = state_after(deltas)[row_key(KEYS["a"])]
    assert (state.item, state.views, state.carts, state.purchases) == ("a", 1, 1, 0)
    assert (state.first_ms, state.last_ms) == (START_MS, START_MS + 1000)
    worth = value(state.trend, START_MS, SETTINGS.trend_half_life_ms) / 256
    assert worth == pytest.approx(4.0, rel=1e-3)


def test_pairs_are_symmetric_and_nearer_ones_weigh_more() -> None:
    """Each of two items touched in turn is the other's neighbour, by the same amount."""
    deltas = ItemDeltas()
    deltas.add(event("c", 10), [KEYS["a"], KEYS["b"]], SETTINGS)
    states = state_after(deltas)
    near, far = KEYS["b"], KEYS["a"]
    of_c = states[row_key(KEYS["c"])].pairs
    assert of_c[near] == states[row_key(near)].pairs[KEYS["c"]]
    assert of_c[far] == states[row_key(far)].pairs[KEYS["c"]]
    assert of_c[near] > of_c[far] > 0


def test_items_outside_the_window_and_the_item_itself_are_no_partners() -> None:
    """Yesterday's item is not related to today's; nor is an item to itself."""
    later_ms = START_MS + (SETTINGS.pair_window_s + 1) * 1000
    profile = fold(fold(None, event("b"), ProfileSettings()), event("a", later_ms - START_MS), ProfileSettings())
    before = touched_before(profile, later_ms, SETTINGS)
    assert before == [KEYS["a"]]
    assert touched_before(profile, later_ms - 1000, SETTINGS) == [KEYS["b"], KEYS["a"]]
    assert touched_before(None, later_ms, SETTINGS) == []
    deltas = ItemDeltas()
    deltas.add(event("a"), before, SETTINGS)
    assert all(not s.pairs for s in state_after(deltas).values())


def test_items_of_one_order_are_related() -> None:
    """Lines count as if touched in turn."""
    deltas = ItemDeltas()
    lines = tuple(Line(n, KEYS[n]) for n in ("a", "b", "c"))
    deltas.add(Event("u", "", "s", "purchase", START_MS, 0, lines), [], SETTINGS)
    assert set(state_after(deltas)[row_key(KEYS["b"])].pairs) == {KEYS["a"], KEYS["c"]}


def test_the_fullest_words_win_then_the_newest_and_the_newest_price() -> None:
    """A line that names no category does not erase what an earlier one told."""
    deltas = ItemDeltas()
    deltas.add(event("a", 0, category="shoes", brand="acme", price=10.0), [], SETTINGS)
    deltas.add(event("a", 1, category="", price=8.0), [], SETTINGS)
    deltas.add(event("a", 2, category="boots", brand="acme"), [], SETTINGS)
    state = state_after(deltas)[row_key(KEYS["a"])]
    assert (state.words, state.price_cents) == (("boots", "acme", ""), 800)


def test_neighbours_are_pruned_to_the_strongest_with_ties_to_the_smaller_key() -> None:
    """A bounded row keeps what counts."""
    amounts = {9: 5, 1: 5, 7: 5, 3: 50, 2: 1}
    assert strongest(amounts, 3) == {3: 50, 1: 5, 7: 5}
    state = ItemState(1, pair_era=3, pairs=dict(amounts), older_pairs={2: 1 << 40})
    state.prune(3)
    assert state.neighbours() == {2: (1 << 16) + 1, 3: 50, 1: 5}


def test_a_table_row_never_holds_more_neighbours_than_allowed() -> None:
    """However many items its users touch."""
    small = ItemSettings(neighbours_kept=6, neighbours_pruned_to=4)
    store = Store()
    for n in range(40):
        deltas = ItemDeltas()
        deltas.add(event("a", n), [10_000 + n], small)
        store.put(apply_block(deltas.blocks(1)[0], store, small))
        assert len(store.states()[row_key(KEYS["a"])].pairs) <= 6


def test_bytes_that_are_no_block_are_refused() -> None:
    """With an error of a known kind, before any row is touched."""
    with pytest.raises(msgspec.DecodeError):
        apply_block(b"\xc1", Store(), SETTINGS)
    with pytest.raises(msgspec.DecodeError):
        apply_block(msgspec.msgpack.encode(["x", [], [], []]), Store(), SETTINGS)
    with pytest.raises(ValueError, match="version 99"):
        apply_block(msgspec.msgpack.encode([99, [], [], []]), Store(), SETTINGS)


def test_a_published_row_is_small() -> None:
    """At most 32 neighbours, however many the table has."""
    state = ItemState(1, "item-1", pairs={k * 2**58 + k: k for k in range(1, 61)})
    assert len(index_row(state, SETTINGS)) < 32 * 12 + 120
