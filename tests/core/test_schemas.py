"""The shipped schemas agree with what is really parsed and really sent."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from streamer.core import encode
from streamer.core.catalog import read_entry
from streamer.core.effects import DeadLetter
from streamer.core.events import EVENT_TYPES, REJECTIONS, Event
from streamer.core.parse import Limits, parse
from tests.core import outgoing
from tests.core.inbound import GOLDEN, KAFKA_MS, envelope, record

SCHEMAS: dict[str, dict[str, Any]] = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text())
    for path in files("streamer.schemas").iterdir()
    if path.name.endswith(".schema.json")
}


def valid(schema: str, value: object) -> bool:
    """Whether ``value`` is as the schema says."""
    return bool(Draft202012Validator(SCHEMAS[schema]).is_valid(value))


def test_all_contracts_have_a_schema() -> None:
    """And each is a schema."""
    names = {"event", "feedback", "preferences", "catalog", "candidate", "decision", "dead-letter"}
    assert set(SCHEMAS) == names
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_golden_records_are_as_the_schemas_say(name: str) -> None:
    """Feedback and preferences have a stricter schema of their own."""
    value = json.loads(GOLDEN[name])
    assert valid("event", value)
    needs = EVENT_TYPES[name].needs
    assert valid("feedback", value) == (needs == "candidate")
    assert valid("preferences", value) == (needs == "preferences")


ACCEPTED_BY_BOTH = [
    envelope(specversion=None, id=None, source=None),
    envelope(subject=None, data={"item": "i", "anonymous_id": "a"}),
    envelope(subject=None, data={"item": "i", "user_id": "u"}),
    envelope(time=KAFKA_MS),
    envelope(time="2026-03-01T10:00:00.123456+02:00"),
    envelope(time="2026-03-01 10:00:00z"),
    envelope(type="checkout", data=None),
    envelope(data={"item": "i", "price": None, "brand": None, "quantity": None, "extra": {}}, extra=1),
    envelope(data={"items": [{"id": "i", "price": 0, "quantity": 1_000_000}]}),
    envelope(type="preferences", data={"preferences": {"quiet_hours": ["00:00", "23:59"], "erase": True}}),
    envelope(type="preferences", data={"preferences": {"consent": None, "channels": [], "time_zone": "Asia/Tokyo"}}),
]

REFUSED_BY_BOTH = [
    [],
    {},
    envelope(type=None),
    envelope(type="teleport"),
    envelope(type=3),
    envelope(specversion="0.3"),
    envelope(id=7),
    envelope(subject=None),
    envelope(subject=3),
    envelope(subject="u" * 257),
    envelope(time=None),
    envelope(time="yesterday"),
    envelope(time="2026-03-01T10:00:00"),
    envelope(time=KAFKA_MS // 1000),
    envelope(time=1.5),
    envelope(data=None),
    envelope(data="i"),
    envelope(data={}),
    envelope(data={"item": ""}),
    envelope(data={"item": 5}),
    envelope(data={"item": "i" * 257}),
    envelope(data={"item": "i", "price": -1}),
    envelope(data={"item": "i", "price": "1"}),
    envelope(data={"item": "i", "price": 2e9}),
    envelope(data={"item": "i", "quantity": 0}),
    envelope(data={"item": "i", "quantity": 0.5}),
    envelope(data={"items": []}),
    envelope(data={"items": [{"price": 1}]}),
    envelope(data={"items": [{"id": "i"}] * 2001}),
    envelope(type="search", data={}),
    envelope(type="search", data={"query": "  "}),
    envelope(type="push_opened", data={}),
    envelope(type="preferences", data={}),
    envelope(type="preferences", data={"preferences": {"consent": "yes"}}),
    envelope(type="preferences", data={"preferences": {"erase": None}}),
    envelope(type="preferences", data={"preferences": {"channels": ["push"] * 17}}),
    envelope(type="preferences", data={"preferences": {"quiet_hours": ["22:00"]}}),
    envelope(type="preferences", data={"preferences": {"quiet_hours": ["22:00", "24:00"]}}),
    envelope(type="preferences", data={"preferences": {"time_zone": ""}}),
]


@pytest.mark.parametrize("value", ACCEPTED_BY_BOTH, ids=repr)
def test_what_the_event_schema_accepts_is_parsed(value: dict[str, Any]) -> None:
    """A producer that validates before sending gets no dead letter."""
    assert valid("event", value)
    assert isinstance(parse(record(value), Limits()), Event)


@pytest.mark.parametrize("value", REFUSED_BY_BOTH, ids=lambda value: repr(value)[:120])
def test_what_the_parser_refuses_the_event_schema_refuses(value: object) -> None:
    """So a producer learns of it before the dead letter."""
    assert not valid("event", value)
    assert not isinstance(parse(record(value), Limits()), Event)


def test_candidates_are_sent_as_their_schema_says() -> None:
    """Ordinary ones, the longest, and none with a field missing."""
    sent = json.loads(encode.candidate(outgoing.candidate()))
    assert valid("candidate", sent)
    longest = outgoing.candidate(user="u" * 256, items=("i" * 256,) * 3, words={"title": "t" * 9999}, reasons=())
    assert valid("candidate", json.loads(encode.candidate(longest)))
    for name in sent:
        assert not valid("candidate", {other: value for other, value in sent.items() if other != name})
    assert not valid("candidate", {**sent, "items": []})
    assert not valid("candidate", {**sent, "propensity": 0})


def test_decisions_are_sent_as_their_schema_says() -> None:
    """Refusals, and ranked ones."""
    for decision in (outgoing.refusal(), outgoing.ranked(), outgoing.ranked("low_score")):
        row = json.loads(encode.decision(decision))
        assert valid("decision", row)
        for name in SCHEMAS["decision"]["required"]:
            assert not valid("decision", {other: value for other, value in row.items() if other != name})


def test_dead_letters_are_sent_as_their_schema_says() -> None:
    """For every reason, cut or whole."""
    for reason in REJECTIONS:
        for size in (0, 1, encode.DEAD_LETTER_WHOLE_BYTES + 1):
            letter = DeadLetter(outgoing.record(b"x" * size, b"k" * size, b"h" * size), reason, "why")
            headers = encode.dead_letter(letter)[2]
            told = {name: value.decode() for name, value in headers if name.startswith("dl_")}
            assert valid("dead-letter", told)
            assert set(told) <= set(SCHEMAS["dead-letter"]["properties"])


@pytest.mark.parametrize(
    "value",
    [
        {},
        {
            "title": "Trail shoe",
            "category": "shoes.running",
            "brand": "acme",
            "price": 89.9,
            "stock": 3,
            "tags": ["new"],
        },
        {"name": "Trail shoe", "categories": ["shoes.running", "sale"], "stock": False, "vector": [0.1]},
        {"description": "For stony ground.", "tags": [], "vector": [1e9, -1e9, 0, 0.5]},
        {"description": None, "tags": None, "vector": None},
        {"title": None, "category": None, "categories": None, "brand": None, "price": None, "stock": None},
    ],
)
def test_catalog_entries_are_read_as_their_schema_says(value: dict[str, Any]) -> None:
    """Everything in them may be missing."""
    assert valid("catalog", value)
    assert read_entry(json.dumps(value).encode()) is not None


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"price": "1"},
        {"title": 3},
        {"stock": "yes"},
        {"categories": "shoes"},
        {"tags": "new"},
        {"tags": [3]},
        {"description": ["x"]},
        {"vector": 0.1},
        {"vector": ["0.1"]},
        {"vector": [None]},
        {"vector": [2e9]},
        {"vector": [0.5] * 4097},
    ],
)
def test_catalog_entries_that_are_not_read_are_not_in_the_schema(value: object) -> None:
    """A malformed row is left out, and the row before it stands."""
    assert not valid("catalog", value)
    assert read_entry(json.dumps(value).encode()) is None
