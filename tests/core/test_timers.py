"""Keys of table ``due``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.timers import due_key, is_of_slates, read_due_key, slates_key

LATEST_MS = 10**15 - 1
times = st.integers(0, LATEST_MS)


@given(times, st.text())
def test_a_key_says_what_it_was_made_of(due_ms: int, user: str) -> None:
    """Whatever a shopper is called."""
    assert read_due_key(due_key(due_ms, user)) == (due_ms, user)


@given(st.lists(st.tuples(times, st.text(st.characters(exclude_categories=["Cs"])))))
def test_keys_are_in_the_order_of_time_and_then_of_the_shopper(rows: list[tuple[int, str]]) -> None:
    """As a table has them: by their bytes."""
    keys = sorted(due_key(*row).encode() for row in rows)
    assert [read_due_key(key.decode()) for key in keys] == sorted(rows)


@given(times, st.text(), times, st.text())
def test_a_row_of_slates_is_none_of_timers_whatever_shoppers_are_called(
    due_ms: int, user: str, other_ms: int, other: str
) -> None:
    """A shopper may be called like the key of another's row."""
    key = slates_key(due_ms, user)
    assert read_due_key(key) == (due_ms, user)
    assert is_of_slates(key)
    assert not is_of_slates(due_key(other_ms, other))
    assert key != due_key(other_ms, other)
    found = key.encode("utf-8", "surrogatepass")
    assert due_key(due_ms, "").encode() < found
    if due_ms < LATEST_MS:
        assert found < due_key(due_ms + 1, "").encode()


@given(st.text() | st.text("0123456789/_+- \u0661", max_size=20))
def test_any_other_text_is_refused(key: str) -> None:
    """Or it would be deleted under another key than its own, and be due for ever."""
    try:
        found = read_due_key(key)
    except ValueError:
        return
    assert key in (due_key(*found), slates_key(*found))


def test_a_number_that_only_looks_like_one_is_refused() -> None:
    """``int`` would take it."""
    with pytest.raises(ValueError, match="no key"):
        read_due_key("+00000000000017/u")
