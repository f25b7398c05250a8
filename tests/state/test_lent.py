"""Values kept decoded are as good as rows read anew."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from state.codecs import StructCodec
from state.lent import Lent
from state.memory import open_store
from state.store import TaskIdentity
from state.table import TableSpec


class Value(msgspec.Struct):
    numbers: list[int]


def lent(limit: int = 2) -> Lent[Value]:
    store = open_store([TableSpec("values", StructCodec(Value))], TaskIdentity("test", 0, 1))
    return Lent(store.table("values"), limit)


def test_what_a_borrower_changed_without_putting_it_is_not_seen_by_the_next() -> None:
    """The borrower failed: the row stands."""
    table = lent()
    table.put_many([("a", Value([1]))])
    [borrowed] = table.get_many(["a"])
    assert borrowed is not None
    borrowed.numbers.append(2)
    assert table.get_many(["a"]) == [Value([1])]


def test_a_key_asked_for_twice_gives_two_objects() -> None:
    """Changing the one leaves the other."""
    table = lent()
    table.put_many([("a", Value([1]))])
    one, other = table.get_many(["a", "a"])
    assert one == other
    assert one is not other


def test_a_deleted_key_is_gone() -> None:
    """From what is kept too."""
    table = lent()
    table.put_many([("a", Value([1]))])
    table.delete("a")
    assert table.get_many(["a"]) == [None]


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["put", "get", "spoil", "delete"]), st.integers(0, 9)))
)
def test_any_history_reads_like_a_dictionary(history: list[tuple[str, str, int]]) -> None:
    """Whatever was kept, taken out, spoilt or dropped for want of room."""
    table, model = lent(), dict[str, list[int]]()
    for key, action, number in history:
        if action == "put":
            [value] = table.get_many([key])
            value = value or Value([])
            value.numbers.append(number)
            table.put_many([(key, value)])
            model.setdefault(key, []).append(number)
        elif action == "delete":
            table.delete(key)
            model.pop(key, None)
        else:
            [value] = table.get_many([key])
            assert (value.numbers if value else None) == model.get(key)
            if value and action == "spoil":
                value.numbers.clear()
