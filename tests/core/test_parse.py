"""What a valid record becomes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streamer.core.events import EVENT_TYPES, Event, item_key
from streamer.core.parse import Limits, parse
from tests.core.inbound import GOLDEN, envelope, event, record

if TYPE_CHECKING:
    from streamer.core.events import Line

T0 = 1_772_359_200_000
"""2026-03-01T10:00:00Z."""


def test_every_event_type_has_a_golden_record_and_every_golden_record_a_type() -> None:
    """Adding a type without its example is noticed."""
    assert set(GOLDEN) == set(EVENT_TYPES)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_golden_record_becomes_an_event_of_its_type(name: str) -> None:
    """Whatever the type, the envelope's own fields arrive."""
    parsed = event(GOLDEN[name])
    sent = orjson.loads(GOLDEN[name])
    assert (parsed.type, parsed.user, parsed.id, parsed.source) == (name, sent["subject"], sent["id"], sent["source"])
    assert parsed.time % 60_000 == 250
    assert not parsed.weak


def test_one_item_inline() -> None:
    """Item fields may lie in data itself."""
    (line,) = event(GOLDEN["cart"]).lines
    assert _words(line) == ("sku-1", 1, 89.9, "shoes.running", "acme", "Trail shoe")
    assert line.key == item_key("sku-1")


def test_an_order_is_one_event_with_a_line_for_each_item() -> None:
    """Quantity and price are per line; a price not given is NaN."""
    first, second = event(GOLDEN["purchase"]).lines
    assert _words(first)[:3] == ("sku-1", 1, 89.9)
    assert _words(second)[:3] == ("sku-7", 2, 4.5)
    (bare,) = event(envelope()).lines
    assert math.isnan(bare.price)
    assert (bare.quantity, bare.category, bare.brand, bare.title) == (1, "", "", "")


def test_items_may_name_themselves_id_or_item() -> None:
    """Both words are in use."""
    parsed = event(envelope(data={"items": [{"id": "a"}, {"item": "b"}]}))
    assert [line.item for line in parsed.lines] == ["a", "b"]


def test_a_search_has_its_query_and_session() -> None:
    """Blanks around a query mean nothing."""
    parsed = event(envelope(type="search", data={"query": "  trail running ", "session": "s-1"}))
    assert (parsed.query, parsed.session, parsed.lines) == ("trail running", "s-1", ())


def test_feedback_names_its_candidate() -> None:
    """It is what joins an outcome to its push."""
    assert event(GOLDEN["push_clicked"]).candidate_id == "0f" * 16


def test_preferences_are_read_with_quiet_hours_in_minutes() -> None:
    """22:00 to 07:30 is 1320 to 450; channels are sorted."""
    preferences = event(GOLDEN["preferences"]).preferences
    assert preferences is not None
    assert (preferences.consent, preferences.channels) == (True, ("email", "push"))
    assert (preferences.quiet_hours, preferences.time_zone, preferences.erase) == ((1320, 450), "+02:00", False)


def test_channels_are_known_however_they_are_spelled() -> None:
    """Else a slip of the pen would be silence for ever."""
    wishes = {"channels": ["Push", "IN_APP", "in app"]}
    preferences = event(envelope(type="preferences", data={"preferences": wishes})).preferences
    assert preferences is not None
    assert preferences.channels == ("in-app", "push")


def test_preferences_not_spoken_of_are_left_standing() -> None:
    """None is not a no."""
    preferences = event(envelope(type="preferences", data={"preferences": {"consent": False}})).preferences
    assert preferences is not None
    assert (preferences.consent, preferences.channels, preferences.quiet_hours) == (False, None, None)


@pytest.mark.parametrize(
    ("fields", "user"),
    [
        ({"subject": "u", "data": {"item": "i", "user_id": "v", "anonymous_id": "a"}}, "u"),
        ({"subject": None, "data": {"item": "i", "user_id": "v", "anonymous_id": "a"}}, "v"),
        ({"subject": None, "data": {"item": "i", "anonymous_id": "a"}}, "a"),
        ({"subject": "", "data": {"item": "i", "anonymous_id": "a"}}, "a"),
    ],
)
def test_the_user_is_the_subject_else_the_user_id_else_the_anonymous_id(fields: dict[str, Any], user: str) -> None:
    """A shopper without a login is the user of its anonymous id."""
    assert event(envelope(**fields)).user == user


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-03-01T10:00:00Z", 1_772_359_200_000),
        ("2026-03-01t10:00:00z", 1_772_359_200_000),
        ("2026-03-01T12:30:00.5+02:30", 1_772_359_200_500),
        ("2026-03-01T10:00:00.123999Z", 1_772_359_200_123),
        ("2016-12-31T23:59:60Z", 1_483_228_799_000),
        ("2000-01-01T00:00:00Z", 946_684_800_000),
        (1_772_359_200_007, 1_772_359_200_007),
    ],
)
def test_times_are_rfc_3339_or_milliseconds(text: str | int, milliseconds: int) -> None:
    """Any zone; finer than a millisecond is cut; the leap second counts as the second before it."""
    assert event(envelope(time=text)).time == milliseconds


def test_an_event_up_to_five_minutes_ahead_of_its_kafka_timestamp_is_believed() -> None:
    """Clocks of devices differ; it counts as of when it was sent, and a copy that is sent again is the same event."""
    fast = envelope(time="2026-03-01T12:05:00Z", id=None)
    assert event(fast).time == record(b"").timestamp
    again = parse(record(fast, timestamp=record(b"").timestamp + 1000), Limits())
    assert isinstance(again, Event)
    assert again.fingerprint == event(fast).fingerprint


def test_unknown_fields_are_ignored_wherever_they_stand() -> None:
    """Producers may add fields at any time."""
    extended = envelope(traceparent="00-1", data={"item": "sku-1", "colour": {"deep": [1, None]}, "rating": 4})
    assert event(extended) == event(envelope())


def test_fields_that_are_null_are_absent() -> None:
    """Many producers write null for what they do not know."""
    parsed = event(envelope(data={"item": "sku-1", "price": None, "brand": None, "items": None, "quantity": None}))
    assert parsed.lines[0].quantity == 1


def test_binary_mode_says_the_same_as_structured_mode() -> None:
    """CloudEvents' two modes differ in where the attributes stand, not in what is meant."""
    sent = envelope()
    headers = tuple((f"ce_{name}", str(sent[name]).encode()) for name in sent if name != "data")
    assert event(sent["data"], (*headers, ("content-type", b"application/json"))) == event(sent)


def test_binary_mode_needs_no_value_where_the_type_needs_no_data() -> None:
    """A checkout is an event by its attributes alone."""
    sent = envelope(type="checkout")
    headers = tuple((f"ce_{name}", str(sent[name]).encode()) for name in sent if name != "data")
    assert event(None, headers).type == "checkout"


def test_a_structured_content_type_outweighs_stray_attribute_headers() -> None:
    """The content type is what tells the modes apart."""
    headers = (("content-type", b"application/cloudevents+json; charset=utf-8"), ("ce_type", b"purchase"))
    assert event(envelope(), headers).type == "view"


def test_the_record_s_place_and_produced_at_travel_with_the_event() -> None:
    """They are needed to trace a candidate, and to measure its latency."""
    parsed = event(envelope(), (("produced_at", b"1772366400000"),))
    assert (parsed.topic, parsed.partition, parsed.offset, parsed.timestamp) == ("browse", 3, 17, record(b"").timestamp)
    assert parsed.produced_at == b"1772366400000"


@pytest.mark.parametrize("stamp", [b"", b"soon", b"-1", b"1" * 17, b"\xd9\xa1"])
def test_a_produced_at_that_is_no_number_is_dropped_and_the_event_kept(stamp: bytes) -> None:
    """Measuring is not worth an event."""
    assert event(envelope(), (("produced_at", stamp),)).produced_at == b""


def test_a_header_without_a_value_is_as_good_as_none() -> None:
    """Kafka allows null there."""
    headers: Any = (("produced_at", None), ("ce_type", None), ("content-type", None), ("x", None))
    assert event(envelope(), headers) == event(envelope())


def test_the_fingerprint_is_of_source_and_id_alone() -> None:
    """A producer's retry may differ in anything else."""
    first = event(envelope())
    assert event(envelope(time="2026-03-01T10:00:01Z", data={"item": "x"})).fingerprint == first.fingerprint
    assert event(envelope(id="e-2")).fingerprint != first.fingerprint
    assert event(envelope(source="other")).fingerprint != first.fingerprint


def test_source_and_id_cannot_be_shifted_into_one_another() -> None:
    """They are length-prefixed before they are hashed."""
    assert event(envelope(source="ab", id="c")).fingerprint != event(envelope(source="a", id="bc")).fingerprint


def test_without_an_id_body_and_time_are_the_fingerprint_and_it_is_weak() -> None:
    """The event's id is then made of it, so that two such events never share a candidate id."""
    first, again, other = (event(envelope(id=None, time=time)) for time in (T0, T0, T0 + 1))
    assert first.weak
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.id == f"{first.fingerprint:016x}"


def test_words_for_display_are_cut_not_refused() -> None:
    """A long title is no reason to lose a purchase."""
    parsed = event(envelope(data={"item": "i", "title": "t" * 500, "brand": "b" * 500, "category": "c" * 500}))
    assert [len(word) for word in (parsed.lines[0].title, parsed.lines[0].brand, parsed.lines[0].category)] == [128] * 3
    assert len(event(envelope(type="search", data={"query": "q" * 999})).query) == 256


def _words(line: Line) -> tuple[object, ...]:
    return line.item, line.quantity, line.price, line.category, line.brand, line.title


def test_a_query_cut_at_a_blank_ends_without_it() -> None:
    """So that the event, written down and read again, is the same event."""
    assert event(envelope(type="search", data={"query": "x" * 255 + " y"})).query == "x" * 255
