"""Responses, asked of pushes made by hand: each is told once, with what was heard within its windows alone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.faults.evidence import Evidence
from tests.faults.plain import Rec, Said, item_key
from tests.faults.responses import KIND, learned, rows, told
from tests.faults.slates import CLOSED_MS, WAIT_MS, WINDOWS_MS, Impression, Responses
from tests.faults.walk import Walked

NOW_MS = 1_790_000_000_000
USER = "user-1"
ID = "0123456789abcdef" * 2
SENT = {"r": "sent", "m": 3, "v": "abcdef", "p": 0.6}


def sent(*items: str) -> Responses:
    """What a task knows after one push."""
    responses = Responses()
    responses.keep(USER, Impression(ID, NOW_MS, "next", items or ("item-1",), SENT))
    return responses


def said(kind: str, after_ms: int, **more: Any) -> Said:
    return Said(USER, kind, NOW_MS + after_ms, **more)


def over(responses: Responses) -> tuple[Any, ...]:
    """The one response that is told when the time is over."""
    responses.reached(USER, NOW_MS + WAIT_MS)
    (response,) = responses.told
    return response


@pytest.mark.parametrize(
    ("kind", "window", "heard"),
    [
        ("push_opened", "open", (False, True, False, False, False, False, True)),
        ("push_clicked", "click", (False, True, True, False, False, False, True)),
        ("push_dismissed", "open", (False, False, False, True, False, False, True)),
        ("push_unsubscribed", "opt_out", (False, False, False, False, True, False, True)),
        ("push_converted", "conversion", (*[False] * 6, True)),
    ],
)
def test_feedback_counts_up_to_the_end_of_its_window(kind: str, window: str, heard: tuple[bool, ...]):
    for after_ms, due in ((WINDOWS_MS[window], heard), (WINDOWS_MS[window] + 1, (*[False] * 6, True))):
        responses = sent()
        responses.hear(said(kind, after_ms, candidate=ID))
        responses.hear(said(kind, 0, candidate="f" * 32))
        assert over(responses) == (NOW_MS, "next", True, *due)


def test_a_purchase_counts_within_its_window_and_says_whether_it_is_of_what_was_shown():
    for item, after_ms, bought, taken in (
        ("item-1", 1, True, True),
        ("item-2", 1, True, False),
        ("item-1", 0, False, False),
        ("item-1", WINDOWS_MS["conversion"] + 1, False, False),
    ):
        responses = sent()
        responses.hear(said("purchase", after_ms, items=(item,), cents=(0,)))
        assert over(responses)[3:] == (bought, False, False, False, False, taken, True)


def test_a_no_to_all_pushes_is_of_the_newest_one():
    responses = sent()
    responses.keep(USER, Impression("f" * 32, NOW_MS + 1, "next", (), SENT))
    responses.hear(said("preferences", 5, preferences={"consent": False}))
    responses.reached(USER, NOW_MS + 1 + WAIT_MS)
    assert [response[-3] for response in responses.told] == [False, True]


def test_what_is_over_is_remembered_for_a_while_and_what_is_forgotten_is_not_told():
    responses = sent()
    assert list(responses.due()) == [f"{NOW_MS + WAIT_MS:015d}~{USER}"]
    over(responses)
    until = NOW_MS + WAIT_MS + CLOSED_MS
    assert responses.of[USER].row == [[], [[bytes.fromhex(ID)[:8], until]], until, []]
    responses.reached(USER, until)
    assert responses.of == {}
    responses = sent()
    responses.forget(USER)
    assert list(responses.due()) == []


def example(offset: int, response: tuple[Any, ...]) -> Rec:
    decided_ms, campaign, pushed, *heard = response
    body = [KIND, 1, b"", decided_ms, campaign, pushed, 1.0, [0.0] * 4, *heard]
    return Rec("examples", 0, offset, NOW_MS, b"0", msgspec.msgpack.encode(body))


def test_a_response_that_is_missing_or_comes_again_or_says_something_else_is_named():
    responses = sent()
    due = over(responses)
    walked = Walked(responses={0: responses})
    met = b"\x91\x01"

    def of(*told: tuple[Any, ...]) -> Evidence:
        examples = [example(n, response) for n, response in enumerate(told)]
        state = Rec("changelog-trainer-model_state", 0, 0, 0, b"trainer/uplift/figures", met)
        return Evidence("", 1, 1, {"examples": {0: examples}, "changelog-trainer-model_state": {0: [state]}})

    assert list(told(of(due), walked)) == []
    assert list(learned(of(due))) == []
    for bad, count in (((), 1), ((due, due), 1), (((due[0] + 1, *due[1:]),), 2)):
        assert len(list(told(of(*bad), walked))) == count
    assert ["met 1 responses of 2" in breach.what for breach in learned(of(due, due))] == [True]


def test_a_row_that_does_not_follow_from_decisions_and_what_was_heard_is_named():
    responses = sent("item-1", "item-2")
    responses.hear(said("push_clicked", 1, candidate=ID))
    walked = Walked(responses={0: responses})
    keys = [item_key("item-1"), item_key("item-2")]

    def of(heard: int, closed: list[Any]) -> Evidence:
        mine = [bytes.fromhex(ID), NOW_MS, "next", keys, [], 1, b"", True, 1.0, 0.6, [0.0] * 4, 3, "abcdef", heard]
        value = b"\x01" + msgspec.msgpack.encode([[mine], closed, NOW_MS + WAIT_MS, []])
        return Evidence("", 1, 1, {"changelog-user-slates": {0: [Rec("", 0, 0, 0, USER.encode(), value)]}})

    assert list(rows(of(4, []), walked, 0)) == []
    assert len(list(rows(of(0, []), walked, 0))) == 1
    assert len(list(rows(of(4, [[b"12345678", 1]]), walked, 0))) == 1
