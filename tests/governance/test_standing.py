"""What a shopper allows is taken back by words that are newer, and by none that are not."""

from __future__ import annotations

import dataclasses

import pytest

from tests.governance import made
from tests.governance.checker import check
from tests.governance.made import Made
from tests.governance.run import HOUR_MS
from tests.governance.standing import Standing


def test_a_yes_takes_back_a_no_that_is_older():
    """By a millisecond is enough."""
    run = Made()
    run.prefers(0, consent=False)
    run.prefers(1, consent=True)
    run.push(HOUR_MS)
    assert check(run.run).counts == {}


def test_a_yes_takes_back_an_unsubscription_of_its_own_time():
    """Who unsubscribes and says yes in one moment said yes last, if it was read last."""
    run = Made()
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.prefers(0, consent=True)
    run.push(HOUR_MS)
    assert check(run.run).counts == {}


def test_a_yes_takes_back_a_no_that_is_as_new_as_the_yes_before():
    """The no of a slow clock is dated at the yes that it took back; the next yes is newer than that."""
    run = Made()
    run.prefers(HOUR_MS, consent=True)
    run.prefers(0, consent=False)
    run.event(0, "push_unsubscribed", topic="feedback", candidate_id="x")
    run.prefers(HOUR_MS + 1, consent=True)
    run.push(2 * HOUR_MS)
    assert check(run.run).counts == {}


def test_a_record_without_a_value_unsays_what_is_not_newer():
    """Each word by its own time."""
    run = Made()
    run.prefers(0, quiet_hours=["00:00", "23:59"])
    run.prefers(HOUR_MS, channels=["email"])
    run.unsays(HOUR_MS)
    run.push(2 * HOUR_MS)
    assert check(run.run).counts == {}


@pytest.mark.parametrize("word", ["channels", "quiet_hours", "time_zone"])
def test_an_older_word_does_not_unsay_a_newer_one(word: str):
    """Nor is it heard after a record without a value that is newer."""
    shopper = Standing()
    shopper.hears(word, ["newer"], 2)
    shopper.hears(word, ["older"], 1)
    assert shopper.word(word) == ["newer"]
    shopper.unsays(3)
    shopper.hears(word, ["older"], 2)
    assert shopper.word(word) is None
    shopper.hears(word, ["of that time"], 3)
    assert shopper.word(word) == ["of that time"]


def test_who_is_forgotten_has_said_nothing_but_no():
    """The other words of the record are forgotten with all before."""
    run = Made()
    run.prefers(0, channels=["email"])
    run.prefers(1, erase=True, quiet_hours=["00:00", "23:59"])
    run.push(HOUR_MS)
    assert check(run.run).counts == {}


def test_a_yes_in_the_wish_to_be_forgotten_takes_back_a_no():
    """It is a word, and the newest; then it is forgotten."""
    run = Made()
    run.prefers(0, consent=False)
    run.prefers(1, erase=True, consent=True)
    run.push(HOUR_MS)
    assert check(run.run).counts == {}


def test_what_is_not_newer_than_the_wish_to_be_forgotten_is_forgotten():
    """A yes does not count, and a purchase is not known."""
    run = Made(dataclasses.replace(made.RULES, must_consent=True))
    run.prefers(HOUR_MS, erase=True)
    run.prefers(HOUR_MS, consent=True)
    run.event(0, "purchase", topic="purchase", item="a")
    run.push(2 * HOUR_MS)
    assert check(run.run).counts == {"consent": 1}


def test_a_push_that_is_dismissed_twice_is_one_dismissal_and_one_that_failed_showed_nothing():
    """Said again under another id; an hour is the gap after one dismissal."""
    run = Made()
    first = run.push(0)
    for at in (1, 2):
        run.event(at, "push_dismissed", topic="feedback", candidate_id=first)
    second = run.push(HOUR_MS, ["b"], campaign="other")
    run.event(HOUR_MS + 1, "push_failed", topic="feedback", candidate_id=second)
    run.push(3 * HOUR_MS, ["b"])
    assert check(run.run).counts == {}


def test_who_said_nothing_of_quiet_hours_has_the_shops():
    """By the shop's clock; and who said there were none has none."""
    for said, counts in ((None, {"quiet_hours": 1}), (["00:00", "00:00"], {})):
        run = Made()
        # 22:41 UTC is 7:41 in Tokyo.
        run.run.rules = dataclasses.replace(run.run.rules, quiet_hours=("07:00", "09:00"), time_zone="Asia/Tokyo")
        run.prefers(0, quiet_hours=said)
        run.push(made.MINUTE_MS)
        assert check(run.run).counts == counts
