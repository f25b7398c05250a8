"""The order in which a task folds its topics."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agents.merge import Merge
from streamer.core.record import Record


def record(topic: str, offset: int, timestamp: int) -> Record:
    return Record(topic, 0, offset, timestamp, b"u", b"{}")


def merge_of(**topics: list[int]) -> Merge:
    merge = Merge(("preferences", "search", "browse"), first=frozenset({"preferences"}), wait_s=0.2)
    for topic in ("preferences", "search", "browse"):
        merge.feed(topic, [record(topic, i, t) for i, t in enumerate(topics.get(topic, []))])
        merge.mark(topic, at_end=True)
    return merge


def order(merge: Merge, limit: int = 100) -> list[tuple[str, int]]:
    return [(r.topic, r.offset) for r in merge.cut(limit, now=0.0)]


def test_the_earlier_kafka_timestamp_goes_first_across_topics() -> None:
    assert order(merge_of(browse=[10, 30], search=[20, 40])) == [
        ("browse", 0),
        ("search", 0),
        ("browse", 1),
        ("search", 1),
    ]


def test_at_equal_timestamps_the_topic_named_first_goes_first() -> None:
    assert order(merge_of(browse=[10], search=[10])) == [("search", 0), ("browse", 0)]


def test_an_opt_out_goes_before_earlier_views_of_the_same_fetch() -> None:
    assert order(merge_of(browse=[1, 2], preferences=[99])) == [("preferences", 0), ("browse", 0), ("browse", 1)]


def test_a_topic_keeps_its_offset_order_even_where_its_timestamps_go_back() -> None:
    assert order(merge_of(browse=[50, 10, 60])) == [("browse", 0), ("browse", 1), ("browse", 2)]


def test_a_topic_with_lag_and_nothing_buffered_is_waited_for_but_not_for_ever() -> None:
    merge = merge_of(browse=[10])
    merge.mark("search", at_end=False)
    assert merge.cut(10, now=5.0) == []
    assert merge.cut(10, now=5.1) == []
    assert [r.topic for r in merge.cut(10, now=5.3)] == ["browse"]


def test_a_topic_read_to_its_end_is_not_waited_for() -> None:
    assert order(merge_of(browse=[10])) == [("browse", 0)]


def test_a_batch_put_back_is_cut_again_in_the_same_order() -> None:
    merge = merge_of(browse=[10, 30], search=[20])
    first = merge.cut(2, now=0.0)
    merge.put_back(first)
    assert order(merge) == [("browse", 0), ("search", 0), ("browse", 1)]


@given(
    browse=st.lists(st.integers(0, 50), max_size=12),
    search=st.lists(st.integers(0, 50), max_size=12),
    cuts=st.lists(st.integers(1, 5), min_size=30, max_size=30),
)
def test_where_a_batch_is_cut_does_not_change_the_order(browse: list[int], search: list[int], cuts: list[int]) -> None:
    whole = order(merge_of(browse=browse, search=search))
    pieces = merge_of(browse=browse, search=search)
    assert [step for limit in cuts for step in order(pieces, limit)] == whole
    assert len(whole) == len(browse) + len(search)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("feed"), st.sampled_from(("preferences", "search", "browse")), st.integers(0, 5_000)),
            st.tuples(st.just("cut"), st.integers(1, 4)),
            st.just(("put back",)),
            st.just(("clear",)),
        ),
        max_size=60,
    )
)
def test_the_bytes_it_tells_of_are_those_it_holds(steps: list[tuple[str, ...]]) -> None:
    """Fetching pauses by them."""
    merge = merge_of()
    held: dict[str, list[Record]] = {"preferences": [], "search": [], "browse": []}
    batch: list[Record] = []
    for offset, (what, *given_) in enumerate(steps):
        if what == "feed":
            topic, size = given_
            fed = Record(topic, 0, offset, offset, b"user", bytes(int(size)))
            merge.feed(topic, [fed])
            held[topic].append(fed)
        elif what == "cut":
            batch = merge.cut(int(given_[0]), now=0.0)
            for taken in batch:
                held[taken.topic].remove(taken)
        elif what == "put back":
            merge.put_back(batch)
            for taken in batch:
                held[taken.topic].append(taken)
            batch = []
        else:
            merge.clear()
            held = {topic: [] for topic in held}
            for topic in held:
                merge.mark(topic, at_end=True)
        for topic, records in held.items():
            assert merge.buffered_bytes(topic) == sum(4 + len(r.value or b"") for r in records)
