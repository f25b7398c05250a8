"""Knowing a duplicate."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streamer.core.seen import LIMIT, WINDOW_S, check_and_add

T0 = 1_700_000_000_000


def add_all(fingerprints: list[int], time_ms: int = T0) -> bytes | None:
    row: bytes | None = None
    for fingerprint in fingerprints:
        row = check_and_add(row, fingerprint, time_ms) or row
    return row


def test_an_event_seen_is_a_duplicate_and_a_new_one_is_not() -> None:
    row = add_all([1, 2])
    assert check_and_add(row, 1, T0) is None
    assert check_and_add(row, 2, T0) is None
    assert check_and_add(row, 3, T0) is not None


def test_only_the_last_256_are_remembered() -> None:
    row = add_all(list(range(LIMIT)))
    assert row is not None
    assert len(row) == 12 * LIMIT
    row = check_and_add(row, 10_000, T0)
    assert row is not None
    assert len(row) == 12 * LIMIT
    assert check_and_add(row, 0, T0) is not None
    assert check_and_add(row, 1, T0) is None


def test_an_entry_is_let_go_once_more_than_seven_days_old() -> None:
    row = add_all([1])
    at_the_edge = check_and_add(row, 2, T0 + WINDOW_S * 1000)
    assert at_the_edge is not None
    assert len(at_the_edge) == 24
    beyond = check_and_add(row, 2, T0 + WINDOW_S * 1000 + 1000)
    assert beyond is not None
    assert len(beyond) == 12


def test_eight_bytes_across_two_entries_are_no_duplicate() -> None:
    """The time of one entry and the fingerprint of the next spell another fingerprint."""
    row = check_and_add(check_and_add(None, 1, T0), 2, T0)
    assert row is not None
    across = int.from_bytes(row[8:16], "little")
    assert check_and_add(row, across, T0) is not None
    both = check_and_add(row, across, T0)
    assert check_and_add(both, across, T0) is None


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300))
def test_it_agrees_with_a_plain_list(fingerprints: list[int]) -> None:
    row: bytes | None = None
    known: list[int] = []
    for fingerprint in fingerprints:
        added = check_and_add(row, fingerprint, T0)
        assert (added is None) == (fingerprint in known[-LIMIT:])
        if added is not None:
            row = added
            known.append(fingerprint)
