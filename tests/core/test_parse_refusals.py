"""Each reason to refuse a record, and what meets it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from streamer.core.events import REJECTIONS
from streamer.core.parse import Limits, parse
from streamer.core.record import Rejection
from tests.core.inbound import GOLDEN, KAFKA_MS, envelope, record, refusal

MIB = 1 << 20


def _item(**fields: Any) -> dict[str, Any]:
    return envelope(data={"item": "sku-1", **fields})


def _raw(number: str) -> bytes:
    return orjson.dumps(_item(price=0.125)).replace(b"0.125", number.encode())


CASES: list[tuple[str, str, object]] = [
    ("no value", "empty", None),
    ("a value of no bytes", "empty", b""),
    ("poison bytes", "not_json", b"\x00\xff\xfe\x80poison"),
    ("blanks", "not_json", b"   "),
    ("half a record", "not_json", GOLDEN["view"][:-20]),
    ("two records in one", "not_json", GOLDEN["view"] * 2),
    ("invalid UTF-8 in an id", "not_json", orjson.dumps(envelope(id="@")).replace(b"@", b"\xc3\x28")),
    ("half a surrogate pair", "not_json", orjson.dumps(envelope(id="@")).replace(b"@", b"\\ud800")),
    ("brackets 100,000 deep", "not_json", b'{"a":' * 100_000),
    ("brackets 100,000 deep in an ignored field", "not_json", b'{"type":"view","x":' + b"[" * 100_000),
    ("NaN as a price", "not_json", _raw("NaN")),
    ("Infinity as a price", "not_json", _raw("-Infinity")),
    ("a list", "not_an_event", []),
    ("a number", "not_an_event", 7),
    ("null", "not_an_event", b"null"),
    ("an empty object", "not_an_event", {}),
    ("an object of another world", "not_an_event", {"name": "x", "event": 3}),
    ("no type", "missing_field", envelope(type=None)),
    ("no time", "missing_field", envelope(time=None)),
    ("a view without an item", "missing_field", envelope(data={})),
    ("a view without data", "missing_field", envelope(data=None)),
    ("an item whose id is empty", "missing_field", _item(item="")),
    ("an order without lines", "missing_field", envelope(type="purchase", data={"items": []})),
    ("an order with a line without id", "missing_field", envelope(type="purchase", data={"items": [{"price": 1}]})),
    ("a search without a query", "missing_field", envelope(type="search", data={"query": " "})),
    ("feedback on nothing", "missing_field", envelope(type="push_clicked", data={})),
    ("preferences that say nothing", "missing_field", envelope(type="preferences", data={})),
    ("a type that is a number", "wrong_type", envelope(type=3)),
    ("an id that is a number", "wrong_type", envelope(id=3)),
    ("a subject that is an object", "wrong_type", envelope(subject={"id": "u"})),
    ("data that is text", "wrong_type", envelope(data="sku-1")),
    ("a time that is a fraction", "wrong_type", envelope(time=1.5)),
    ("another version of CloudEvents", "wrong_type", envelope(specversion="0.3")),
    ("items that are text", "wrong_type", envelope(data={"items": "sku-1"})),
    ("a price that is text", "wrong_type", _item(price="12")),
    ("a negative price", "wrong_type", _item(price=-0.01)),
    ("a price beyond belief", "wrong_type", _item(price=1e10)),
    ("a price beyond floats", "wrong_type", _raw("1e999")),
    ("a price of 5,000 digits", "wrong_type", _raw("9" * 5000)),
    ("no pieces", "wrong_type", _item(quantity=0)),
    ("negative pieces", "wrong_type", _item(quantity=-3)),
    ("half a piece", "wrong_type", _item(quantity=0.5)),
    ("pieces beyond belief", "wrong_type", _item(quantity=10**30)),
    ("pieces that are a yes", "wrong_type", _item(quantity=True)),
    ("quiet hours that are no times", "wrong_type", GOLDEN["preferences"].replace(b"07:30", b"24:00")),
    ("quiet hours of other digits", "wrong_type", GOLDEN["preferences"].replace(b"07:30", b"0\xd9\xa7:30")),
    (
        "quiet hours that never end",
        "wrong_type",
        envelope(type="preferences", data={"preferences": {"quiet_hours": ["22:00"]}}),
    ),
    ("a channel without end", "wrong_type", GOLDEN["preferences"].replace(b"email", b"email" * 9)),
    ("a time zone without a name", "wrong_type", GOLDEN["preferences"].replace(b"+02:00", b"")),
    ("a type nobody registered", "unknown_type", envelope(type="teleport")),
    ("a type of a foreign name space", "unknown_type", envelope(type="com.shop.view")),
    ("nobody", "no_user", envelope(subject=None)),
    ("a user of no letters", "no_user", envelope(subject="", data={"item": "i", "user_id": "", "anonymous_id": ""})),
    ("a time in words", "bad_time", envelope(time="yesterday")),
    ("a time without a zone", "bad_time", envelope(time="2026-03-01T10:00:00")),
    ("the 30th of February", "bad_time", envelope(time="2026-02-30T10:00:00Z")),
    ("the last century", "bad_time", envelope(time="1999-12-31T23:59:59.999Z")),
    ("the year 1", "bad_time", envelope(time="0001-01-01T00:00:00+23:59")),
    ("seconds taken for milliseconds", "bad_time", envelope(time=KAFKA_MS // 1000)),
    ("a time before time", "bad_time", envelope(time=-(10**30))),
    ("a millisecond too early", "future_time", envelope(time=KAFKA_MS + 300_001)),
    ("the year 9999", "future_time", envelope(time="9999-12-31T23:59:59.999Z")),
    ("microseconds taken for milliseconds", "future_time", envelope(time=KAFKA_MS * 1000)),
    ("a time after time", "future_time", envelope(time=10**30)),
    ("two megabytes", "too_large", b"x" * 2 * MIB),
    ("two megabytes of valid JSON", "too_large", envelope(data={"item": "i", "note": "n" * 2 * MIB})),
    ("2,001 lines", "too_many_lines", envelope(type="purchase", data={"items": [{"id": "i"}] * 2001})),
    ("a long user", "id_too_long", envelope(subject="u" * 257)),
    ("a long id", "id_too_long", envelope(id="i" * 257)),
    ("a long source", "id_too_long", envelope(source="s" * 257)),
    ("a long session", "id_too_long", _item(session="s" * 257)),
    ("a long item", "id_too_long", _item(item="i" * 257)),
    ("a long item in a list", "id_too_long", envelope(data={"items": [{"id": "a"}, {"id": "i" * 257}]})),
    ("a long candidate", "id_too_long", envelope(type="push_clicked", data={"candidate_id": "c" * 257})),
    ("a user of 129 letters of two bytes", "id_too_long", envelope(subject="ü" * 129)),
    ("a user of 43 control characters, six bytes each in JSON", "id_too_long", envelope(subject="\x01" * 43)),
]


@pytest.mark.parametrize(("reason", "value"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_is_refused_with_its_reason(reason: str, value: object) -> None:
    """The reason is what a producer sees on the dead letter."""
    assert refusal(value) == reason


def test_every_reason_the_parser_may_give_is_met_above() -> None:
    """The two others are given by routing and by the fold."""
    assert {reason for _, reason, _ in CASES} == set(REJECTIONS) - {"misrouted", "handler_error"}


def test_an_id_of_exactly_the_limit_is_accepted() -> None:
    """256 bytes, as JSON writes them."""
    for user in ("u" * 256, "ü" * 128, '"' * 128):
        assert not isinstance(parse(record(envelope(subject=user)), Limits()), Rejection)


@pytest.mark.parametrize("time", ["2100-01-01T00:00:00Z", 4_294_967_296_000, "9999-12-31T23:59:59.999-23:59", 2**62])
def test_a_time_after_2099_is_refused_whatever_the_kafka_timestamp(time: object) -> None:
    """Producers set that too, and one such event would carry the stream time with it, past all others."""
    parsed = parse(record(envelope(time=time), timestamp=2**63 - 1), Limits())
    assert isinstance(parsed, Rejection)
    assert parsed.reason == "future_time"


def test_key_and_headers_count_towards_the_size_of_a_record() -> None:
    """A small value does not excuse a header of a megabyte."""
    assert refusal(envelope(), (("x", b"h" * MIB),)) == "too_large"


def test_limits_are_settings() -> None:
    """Each limit refuses what the default lets pass."""
    order = envelope(type="purchase", data={"items": [{"id": "item-1", "quantity": 3, "price": 9.0}] * 3})
    assert not isinstance(parse(record(order), Limits()), Rejection)
    for limits, reason in (
        (Limits(record_bytes=100), "too_large"),
        (Limits(lines=2), "too_many_lines"),
        (Limits(id_bytes=5), "id_too_long"),
        (Limits(quantity=2), "wrong_type"),
        (Limits(price=8.5), "wrong_type"),
    ):
        assert refusal(order, limits=limits) == reason
    assert refusal(envelope(time=KAFKA_MS + 1), limits=Limits(ahead_ms=0)) == "future_time"


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("unknown_type", {"ce_type": b"teleport"}),
        ("wrong_type", {"ce_subject": b"\xff"}),
        ("wrong_type", {"ce_specversion": b"2.0"}),
        ("bad_time", {"ce_time": b"1772359200000"}),
        ("missing_field", {"ce_time": b""}),
        ("no_user", {"ce_subject": b""}),
    ],
)
def test_binary_mode_is_refused_alike(reason: str, changed: dict[str, bytes]) -> None:
    """Headers are as untrusted as values."""
    sent = {f"ce_{name}": str(value).encode() for name, value in envelope(data=None).items()}
    assert refusal(b'{"item":"sku-1"}', tuple({**sent, **changed}.items())) == reason


def test_the_detail_names_the_field_and_stays_short() -> None:
    """It helps a producer to find the fault, and never carries a whole record."""
    parsed = parse(record(_item(price="12")), Limits())
    assert isinstance(parsed, Rejection)
    assert "$.data.price" in parsed.detail
    unknown = parse(record(envelope(type="t" * 100_000)), Limits())
    assert isinstance(unknown, Rejection)
    assert len(unknown.detail) == 200
