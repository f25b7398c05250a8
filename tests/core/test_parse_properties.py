"""Whatever the bytes, parsing ends in an event or a refusal, always the same."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.adapters import ga4, retailrocket, segment
from streamer.core.events import EVENT_TYPES, REJECTIONS, Event
from streamer.core.parse import EARLIEST_MS, Limits, parse
from streamer.core.record import Record
from tests.core.inbound import GOLDEN, KAFKA_MS

LIMITS = Limits(record_bytes=4096, lines=5)

NAMES = st.sampled_from(
    [
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "data",
        "item",
        "items",
        "quantity",
        "price",
        "category",
        "brand",
        "title",
        "query",
        "session",
        "user_id",
        "anonymous_id",
        "candidate_id",
        "preferences",
        "consent",
        "channels",
        "quiet_hours",
        "time_zone",
        "erase",
        "event",
        "properties",
        "products",
        "product_id",
        "sku",
        "name",
        "messageId",
        "userId",
        "anonymousId",
        "timestamp",
        "event_name",
        "event_timestamp",
        "event_params",
        "events",
        "params",
        "client_id",
        "user_pseudo_id",
        "item_id",
        "key",
        "value",
        "string_value",
        "timestamp_micros",
        "search_term",
        "visitorid",
        "itemid",
    ]
)
WORDS = st.one_of(
    st.sampled_from([*EVENT_TYPES, *segment.TYPES, *ga4.TYPES, *retailrocket.TYPES, "1.0", "track", "identify"]),
    st.sampled_from(["2026-03-01T10:00:00Z", "2026-03-01T10:00:60Z", "22:00", "1772359200000", "nan", "-1", ""]),
    st.text(max_size=60),
)
NUMBERS = st.one_of(
    st.integers(), st.floats(), st.sampled_from([0, 1, -1, KAFKA_MS, KAFKA_MS * 1000, 2**63, -(2**64), 10**400])
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(NAMES | st.text(max_size=8), inner, max_size=10),
    max_leaves=30,
)


def _check(record: Record) -> None:
    """An event keeps its promises; a refusal has a registered reason, and none is a bug's."""
    parsed = parse(record, LIMITS)
    assert parse(record, LIMITS) == parsed or "nan" in repr(parsed)
    if isinstance(parsed, Event):
        assert parsed.user
        assert parsed.id
        assert parsed.type in EVENT_TYPES
        assert EARLIEST_MS <= parsed.time <= record.timestamp + LIMITS.ahead_ms
        assert 0 <= parsed.fingerprint < 2**64
        assert len(parsed.lines) <= LIMITS.lines
        for identity in (parsed.user, parsed.id, parsed.source, parsed.session, parsed.candidate_id):
            assert len(orjson.dumps(identity)) - 2 <= LIMITS.id_bytes
        for line in parsed.lines:
            assert line.item
            assert line.quantity >= 1
            assert not line.price < 0
    else:
        assert parsed.reason in REJECTIONS
        assert parsed.reason != "handler_error", parsed.detail
        parsed.detail.encode()


def _text(value: object) -> bytes:
    """JSON as Python writes it: NaN, Infinity, surrogates and huge integers included."""
    return json.dumps(value).encode()


@given(st.binary(max_size=300), st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=40)), max_size=4))
def test_arbitrary_bytes_and_headers(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """Noise."""
    _check(Record("browse", 0, 0, KAFKA_MS, None, value, tuple(headers)))


@given(JSON)
def test_arbitrary_json(value: object) -> None:
    """Any JSON, in words that mean something to the parser and its adapters."""
    _check(Record("browse", 0, 0, KAFKA_MS, b"k", _text(value)))


@given(st.dictionaries(NAMES, JSON, max_size=8), st.sampled_from(sorted(EVENT_TYPES)), JSON)
def test_arbitrary_data_in_a_good_envelope(data: dict[str, object], kind: str, extra: object) -> None:
    """What lies deeper is reached only behind a good envelope."""
    sent = {"type": kind, "subject": "u", "time": KAFKA_MS, "data": data, "x": extra}
    _check(Record("browse", 0, 0, KAFKA_MS, b"u", _text(sent)))


@given(JSON, st.sampled_from(["track", None]), st.sampled_from(sorted(segment.TYPES)))
def test_arbitrary_properties_in_a_segment_call(properties: object, call: str | None, event: str) -> None:
    """The adapter sees only what decoding let through."""
    sent = {"type": call, "event": event, "userId": "u", "timestamp": "2026-03-01T10:00:00Z", "properties": properties}
    _check(Record("browse", 0, 0, KAFKA_MS, b"u", _text(sent)))


@given(JSON, JSON, JSON, st.sampled_from(sorted(ga4.TYPES)))
def test_arbitrary_parts_in_ga4_shapes(parameters: object, items: object, micros: object, name: str) -> None:
    """Both shapes."""
    event = {"name": name, "params": parameters, "timestamp_micros": micros}
    for sent in (
        {"event_name": name, "event_timestamp": micros, "event_params": parameters, "items": items, "user_id": "u"},
        {"client_id": "c", "events": [event], "timestamp_micros": items},
        {"client_id": "c", "events": [parameters]},
    ):
        _check(Record("browse", 0, 0, KAFKA_MS, b"u", _text(sent)))


@given(
    st.sampled_from(sorted(GOLDEN)),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["cut", "set", "insert"]), st.binary(max_size=3)), max_size=4),
)
def test_valid_events_with_some_bytes_changed(name: str, changes: list[tuple[float, str, bytes]]) -> None:
    """Near misses find more than noise does."""
    value = bytearray(GOLDEN[name])
    for place, how, content in changes:
        at = int(place * len(value))
        if how == "cut":
            del value[at : at + 3]
        elif how == "set":
            value[at : at + len(content)] = content
        else:
            value[at:at] = content
    _check(Record("browse", 0, 0, KAFKA_MS, b"u", bytes(value)))


@pytest.mark.parametrize("timestamp", [-1, 0, 2**63 - 1])
def test_odd_kafka_timestamps(timestamp: int) -> None:
    """A record without a timestamp has -1; the largest is the largest."""
    for value in GOLDEN.values():
        _check(Record("browse", 0, 0, timestamp, None, value))
