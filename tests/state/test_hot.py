"""The cache of hot rows: never wrong, never above its bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from state.hot import ROW_OVERHEAD_BYTES, HotRows

UNKNOWN = object()
actions = st.lists(
    st.tuples(
        st.sampled_from(["get", "put"]), st.integers(0, 12).map(lambda n: b"k%d" % n), st.none() | st.integers(0, 400)
    ),
    max_size=200,
)


def counted(part: dict[bytes, tuple[object, int]]) -> int:
    """What a generation takes, counted anew."""
    return sum(len(k) + (len(v) if isinstance(v, bytes) else 0) + ROW_OVERHEAD_BYTES for k, (v, _) in part.items())


def row(size: int | None) -> bytes | None:
    return None if size is None else bytes(size)


@given(actions, st.sampled_from([0, 1, 600, 2000, 10**6]))
def test_it_knows_the_newest_row_or_nothing_and_keeps_its_bound(
    actions: list[tuple[str, bytes, int | None]], limit: int
) -> None:
    """Whatever the order of reads and writes, and also when a key's row changes its size."""
    hot, truth = HotRows(limit), dict[bytes, bytes | None]()
    largest = 400 + 3 + ROW_OVERHEAD_BYTES
    for what, key, size in actions:
        if what == "put":
            truth[key] = row(size)
            hot.put(key, truth[key], size or 0)
        else:
            assert hot.get(key, UNKNOWN) in (truth.get(key, UNKNOWN), UNKNOWN)
        assert counted(hot._young) + counted(hot._old) <= limit + largest
        assert counted(hot._young) == hot._young_bytes
        assert counted(hot._young) + counted(hot._old) == hot.size_bytes


def test_what_is_used_stays_and_what_is_not_goes() -> None:
    """A key read all along outlives any number of keys read once."""
    hot = HotRows(20 * (ROW_OVERHEAD_BYTES + 110))
    hot.put(b"used", bytes(100), 100)
    for n in range(1000):
        hot.put(b"%d" % n, bytes(100), 100)
        assert hot.get(b"used", UNKNOWN) == bytes(100)
    assert hot.get(b"0", UNKNOWN) is UNKNOWN
    hot.clear()
    assert (hot.get(b"used", UNKNOWN), len(hot), hot.size_bytes) == (UNKNOWN, 0, 0)


def test_without_a_budget_it_holds_nothing() -> None:
    """A setting of 0 turns it off."""
    hot = HotRows(0)
    hot.put(b"a", b"1", 1)
    assert (hot.get(b"a", UNKNOWN), len(hot)) == (UNKNOWN, 0)
