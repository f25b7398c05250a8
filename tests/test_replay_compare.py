"""Where two runs part, told from their candidates and tables alone."""

from __future__ import annotations

from dataclasses import replace as with_fields

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streamer.replay.compare import GRID, Item, Sent, Task, Window, first_difference, first_row, in_both, sent
from streamer.replay.verify import compare_runs

NAMES = ("live", "shadow")


def candidate(offset: int, *, user: str = "u", score: int = 1000) -> Sent:
    return Sent(f"id-{offset}", user, "browse", 1, offset, (Item("a", score), Item("b", 7)), score, ("recent",))


RUN = [candidate(offset) for offset in range(0, 50, 5)]


def test_equal_runs_do_not_part() -> None:
    assert first_difference(RUN, list(RUN), NAMES) is None


@given(st.integers(0, len(RUN) - 1), st.booleans())
def test_a_missing_candidate_is_named_by_its_trigger_whichever_run_misses_it(place: int, here: bool) -> None:
    short = RUN[:place] + RUN[place + 1 :]
    found = first_difference(short, RUN, NAMES) if here else first_difference(RUN, short, NAMES)
    assert found is not None
    assert found.place == f"browse:1:{RUN[place].offset}"
    assert f"in {NAMES[here]} only" in found.what


@given(st.sets(st.integers(0, len(RUN) - 1), min_size=1))
def test_the_first_of_several_changes_is_named(places: set[int]) -> None:
    changed = [msgspec.structs.replace(one, reasons=("trending",)) if n in places else one for n, one in enumerate(RUN)]
    found = first_difference(RUN, changed, NAMES)
    assert found is not None
    assert found.place == f"browse:1:{RUN[min(places)].offset}"
    assert "reasons" in found.what


def test_items_their_order_and_their_scores_count() -> None:
    turned = msgspec.structs.replace(RUN[3], items=RUN[3].items[::-1])
    scored = msgspec.structs.replace(RUN[3], items=(Item("a", 1001), Item("b", 7)))
    for other, word in ((turned, "items"), (scored, "scores")):
        found = first_difference(RUN, [*RUN[:3], other, *RUN[4:]], NAMES)
        assert found is not None
        assert (found.place, found.what.split(": ")[1].split()[0]) == ("browse:1:15", word)


def test_another_order_and_a_candidate_sent_twice_are_differences() -> None:
    turned = first_difference(RUN, [RUN[1], RUN[0], *RUN[2:]], NAMES)
    assert turned is not None
    assert (turned.place, "another order" in turned.what) == ("browse:1:0", True)
    twice = first_difference(RUN, [*RUN, RUN[4]], NAMES)
    assert twice is not None
    assert (twice.place, "2 times in shadow" in twice.what) == ("browse:1:20", True)


def test_scores_are_compared_on_the_grid_they_were_rounded_to() -> None:
    def record(score: float) -> bytes:
        trigger = {"topic": "browse", "partition": 0, "offset": 3}
        items = [{"id": "a", "score": score, "generator": "recent"}]
        body = {"candidate_id": "c", "user_id": "u", "trigger": trigger, "items": items, "score": score, "reasons": []}
        return msgspec.json.encode(body)

    assert sent(record(0.25)) == sent(record(0.25 + 0.4 / GRID))
    assert sent(record(0.25)) != sent(record(0.25 + 1 / GRID))


def test_only_what_both_runs_were_to_send_is_compared() -> None:
    a = Window({"browse": 10}, {"browse": 40}, [], 0)
    b = Window({}, {"browse": 30}, ["u"], 0)
    run = [*RUN, candidate(20, user="v")]
    assert [one.offset for one in in_both(run, a, b)] == [10, 15, 20, 25]
    assert in_both(run, a, Window({}, {"search": 30})) == []


def test_the_first_differing_row_of_a_table_is_named() -> None:
    assert first_row("profile", {b"a": b"1"}, {b"a": b"1"}) is None
    found = first_row("profile", {b"a": b"1", b"b": b"2", b"c": b"3"}, {b"a": b"1", b"b": b"x"})
    assert found is not None
    assert (found.place, found.what) == ("profile:b", "1 bytes and 1 bytes, not the same")
    absent = first_row("profile", {b"a": b"1"}, {})
    assert absent is not None
    assert absent.what == "1 bytes and nothing, not the same"


def test_tables_of_different_positions_are_not_called_the_same() -> None:
    tables = {"profile": {b"u": b"1"}, "pending": {}, "slates": {}, "due": {}, "policy": {}, "seen": {}, "watch": {}}
    task = Task(Window({}, {"browse": 50}), tables, candidates=RUN)
    same = compare_runs([task], [with_fields(task)], NAMES)
    assert (same.equal, same.candidates, same.rows) == (True, len(RUN), 1)
    further = with_fields(task, window=Window({}, {"browse": 60}))
    apart = compare_runs([task], [further], NAMES)
    assert (apart.equal, apart.first) == (False, [])
    assert "task 0" in apart.apart[0]
    unknown = compare_runs([task], [with_fields(task, tables={}, unknown="rows were compacted away")], NAMES)
    assert "rows were compacted away" in unknown.apart[0]
