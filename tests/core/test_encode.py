"""What goes out: exact, small, and with nothing of the original lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streamer.core.effects import DeadLetter, Experiment
from streamer.core.encode import (
    CANDIDATE_BYTES,
    DEAD_LETTER_CUT_BYTES,
    DEAD_LETTER_WHOLE_BYTES,
    candidate,
    dead_letter,
    decision,
    rfc3339,
)
from streamer.core.events import EVENT_TYPES, Event
from streamer.core.parse import Limits
from streamer.core.policy.candidate import fitting
from streamer.core.policy.experiments import Terms
from streamer.core.policy.registry import CHEAP_RULES
from streamer.core.settings import PolicySettings
from tests.core import outgoing

LONGEST_IDS = ["u" * 256, '"' * 128, "\\" * 128, "ü" * 128, "靴" * 85, "👟" * 64, "\x01" * 42]


def test_a_candidate_is_the_json_of_its_fields() -> None:
    """Nothing renamed, nothing left out."""
    sent = outgoing.candidate()
    read = orjson.loads(candidate(sent))
    assert list(read) == list(sent.__struct_fields__)
    assert read["trigger"] == {
        "type": "remove_from_cart",
        "event_id": "evt-0001",
        "topic": "purchase",
        "partition": 1023,
        "offset": 2**62,
    }
    assert [item["id"] for item in read["items"]] == ["sku-7", "sku-9"]
    assert read["event_time"] == "2026-03-01T10:00:00.250Z"


@pytest.mark.parametrize("longest", LONGEST_IDS, ids=ascii)
def test_a_candidate_with_all_ids_at_the_limit_fits_a_push_payload(longest: str) -> None:
    """Words give way then; ids never."""
    assert len(orjson.dumps(longest)) - 2 <= Limits().id_bytes
    sent = outgoing.candidate(
        user=longest,
        event_id=longest,
        items=(longest,) * 3,
        words={"title": "\x01" * 500, "category": "靴" * 500, "brand": "b" * 500},
        reasons=("often viewed with " + "靴" * 500,) * 3,
    )
    encoded = candidate(sent)
    assert len(encoded) <= CANDIDATE_BYTES
    read = orjson.loads(encoded)
    assert (read["user_id"], read["trigger"]["event_id"], read["items"][2]["id"]) == (longest,) * 3
    assert read["deep_link"] == sent.deep_link
    assert read["reasons"][0].startswith("often viewed")
    assert read["reasons"][0].endswith("…")


_IDS = st.sampled_from([*LONGEST_IDS, "sku-7", "ü" * 18, "0123456789abcdef" * 4])
_ARMS = st.lists(st.sampled_from(["n" * 32, "arm"]), max_size=4)


@given(_IDS, _IDS, st.lists(_IDS, min_size=1, max_size=20), _ARMS)
def test_of_many_items_with_long_ids_as_many_are_shown_as_a_push_payload_has_room_for(
    user: str, event_id: str, items: list[str], arms: list[str]
) -> None:
    """The best first; three in any case."""
    terms = Terms(PolicySettings(), tuple([(arm, arm) for arm in arms]))
    event = Event(user, event_id, "shop", "view", outgoing.AT_MS, 1)
    shown = fitting(items, event, "n" * 32, terms)
    assert shown == items[: len(shown)]
    assert len(shown) >= min(3, len(items))
    whole = outgoing.candidate(
        user, event_id, tuple(shown), words=dict.fromkeys(("title", "category", "brand", "price"), "\x01" * 500)
    )
    sent = replace(
        whole, deep_link=whole.deep_link + "n" * 28, experiments=tuple([Experiment(arm, arm) for arm in arms])
    )
    assert len(candidate(sent)) <= CANDIDATE_BYTES


def test_twenty_items_with_ids_as_long_as_a_uuid_are_all_shown() -> None:
    """As ``slate_items`` promises, with experiments of the longest names."""
    items, terms = ["u" * 36] * 20, Terms(PolicySettings(), (("n" * 32, "n" * 32),) * 2)
    assert fitting(items, Event("u" * 36, "e" * 36, "shop", "view", outgoing.AT_MS, 1), "n" * 32, terms) == items


def test_words_are_whole_where_there_is_room_for_them() -> None:
    """Cutting is for the rare case."""
    words = {"title": "t" * 400}
    assert orjson.loads(candidate(outgoing.candidate(words=words)))["template"]["vars"] == words


def test_a_refusal_before_ranking_is_short() -> None:
    """It names event, campaign, reason and versions; propensity 1 is the default."""
    assert decision(outgoing.refusal()) == b'{"o":"browse:12345","c":"next","r":"min_gap","m":12,"v":"9f3c12"}'


@pytest.mark.parametrize("reason", [rule.name for rule in CHEAP_RULES])
@pytest.mark.parametrize("topic", sorted({kind.topic for kind in EVENT_TYPES.values() if kind.triggers}))
def test_a_refusal_before_ranking_takes_80_bytes_at_most(topic: str, reason: str) -> None:
    """Far along a partition and after many models."""
    assert len(decision(outgoing.refusal(reason, f"{topic}:{9_999_999_999}", 99_999))) <= 80


def test_a_ranked_decision_carries_what_was_weighed() -> None:
    """Enough to learn from it, and to explain it."""
    assert orjson.loads(decision(outgoing.ranked())) == {
        "o": "browse:12345",
        "c": "next",
        "r": "sent",
        "p": 0.25,
        "m": 12,
        "v": "9f3c12",
        "e": "evt-0001",
        "d": "0123456789abcdef" * 2,
        "s": 0.125,
        "i": ["sku-7", "sku-9"],
        "f": [0.0, 1.5, -0.25],
        "a": [["sku-3", 0.25, 0.75], ["sku-7", 0.125, 0.25]],
    }


def test_a_dead_letter_is_the_record_as_it_came_with_its_reason_added() -> None:
    """So that it can be mended and sent again."""
    key, value, headers = dead_letter(DeadLetter(outgoing.record(), "not_json", "at byte 0"))
    assert (key, value) == (b"user-42", b"poison")
    assert headers == (
        ("traceparent", b"00-1"),
        ("dl_reason", b"not_json"),
        ("dl_detail", b"at byte 0"),
        ("dl_topic", b"browse"),
        ("dl_partition", b"3"),
        ("dl_offset", b"17"),
        ("dl_timestamp", b"1772359200250"),
        ("dl_size", b"6"),
    )


def test_a_dead_letter_of_nothing_has_nothing() -> None:
    """Null stays null: it is no empty text."""
    key, value, headers = dead_letter(DeadLetter(outgoing.record(value=None, key=None), "empty", ""))
    assert (key, value, dict(headers)["dl_size"]) == (None, None, b"0")


def test_a_long_value_is_cut_and_its_digest_kept() -> None:
    """Up to the limit it is whole."""
    whole = b"x" * DEAD_LETTER_WHOLE_BYTES
    _, value, headers = dead_letter(DeadLetter(outgoing.record(whole), "too_large", ""))
    assert value == whole
    assert "dl_sha256" not in dict(headers)
    longer = whole + b"y"
    _, value, headers = dead_letter(DeadLetter(outgoing.record(longer), "too_large", ""))
    assert value == longer[:DEAD_LETTER_CUT_BYTES]
    assert dict(headers)["dl_sha256"] == sha256(longer).hexdigest().encode()
    assert dict(headers)["dl_size"] == b"%d" % len(longer)


def test_a_record_at_the_broker_s_limit_fits_as_a_dead_letter_wherever_its_bytes_lie() -> None:
    """In the key or in a header as well as in the value."""
    mib = 1 << 20
    for record in (
        outgoing.record(value=b"v" * mib),
        outgoing.record(key=b"k" * mib),
        outgoing.record(header=b"h" * mib),
    ):
        key, value, headers = dead_letter(DeadLetter(record, "too_large", "d" * mib))
        size = len(key or b"") + len(value or b"") + sum(len(name) + len(content) for name, content in headers)
        assert size < mib // 2
        assert dict(headers)["dl_reason"] == b"too_large"


def test_a_long_detail_is_cut_between_letters() -> None:
    """The header stays UTF-8; half a surrogate pair in it is replaced."""
    headers = dict(dead_letter(DeadLetter(outgoing.record(), "not_json", "a" + "ü" * 500))[2])
    assert headers["dl_detail"].decode() == "a" + "ü" * 255
    assert dict(dead_letter(DeadLetter(outgoing.record(), "not_json", "\ud800"))[2])["dl_detail"] == b"?"


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_times_are_written_as_python_writes_them(ms: int) -> None:
    """For any millisecond of the years 1 to 9999."""
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert rfc3339(ms) == expected.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_times_beyond_the_year_9999_are_an_error() -> None:
    """No such time is accepted from a producer."""
    with pytest.raises(OverflowError):
        rfc3339(253_402_300_800_000)
