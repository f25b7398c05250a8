"""What the contracts promise of each thing that leaves the core, whatever came in."""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
from jsonschema import Draft202012Validator

from streamer.core import encode
from streamer.core.events import EVENT_TYPES, REJECTIONS, Event
from streamer.core.parse import EARLIEST_MS, parse
from streamer.core.record import Record
from streamer.readers.envelope import to_envelope
from tests.fuzz.records import LIMITS
from tests.fuzz.tally import held
from tests.fuzz.wire import BROKER_BYTES, INBOUND_BYTES, wire_bytes

if TYPE_CHECKING:
    from streamer.core.effects import Candidate, DeadLetter, Decision

_encode = msgspec.json.Encoder().encode


@lru_cache
def _validator(name: str) -> Any:
    schema = json.loads(files("streamer.schemas").joinpath(f"{name}.schema.json").read_text())
    return Draft202012Validator(schema)


def valid(schema: str, value: object) -> None:
    """The value is as the shipped schema says."""
    error = next(_validator(schema).iter_errors(value), None)
    held(f"is as {schema}.schema.json says", error is None, error and error.message, value)


def event(found: Event, record: Record) -> None:
    """An event is within every limit, and is read back from its own envelope as the same event."""
    held("a registered type", found.type in EVENT_TYPES, found)
    held("a believable time", EARLIEST_MS <= found.time <= record.timestamp + LIMITS.ahead_ms, found, record)
    held("64 bits", 0 <= found.fingerprint < 2**64, found)
    held("a user and an id", found.user and found.id, found)
    held("lines", len(found.lines) <= LIMITS.lines, len(found.lines))
    ids = {found.user, found.id, found.source, found.session, found.candidate_id, *(line.item for line in found.lines)}
    for identity in ids:
        held("no id is too long", len(orjson.dumps(identity)) - 2 <= LIMITS.id_bytes, identity)
    for line in found.lines:
        held("an item", line.item, line)
        held("pieces", 1 <= line.quantity <= LIMITS.quantity, line)
        held("a price", not line.price < 0 and not line.price > LIMITS.price, line)
        held("texts", max(len(line.category), len(line.brand), len(line.title)) <= LIMITS.text_chars, line)
    again = parse(Record("", 0, 0, record.timestamp, None, to_envelope(found)[2]), LIMITS)
    held("read back", isinstance(again, Event), again, found)
    assert isinstance(again, Event)
    held("read back as the same", _encode(_told(again)) == _encode(_told(found)), again, found)
    held("of the same fingerprint", found.weak or again.fingerprint == found.fingerprint, again, found)


def _told(found: Event) -> Event:
    """What an event tells, apart from where it was found. An absent price is NaN, which JSON writes as null."""
    return msgspec.structs.replace(
        found, topic="", partition=0, offset=0, timestamp=0, weak=False, fingerprint=0, produced_at=b""
    )


def dead_letter(letter: DeadLetter, *, schema: bool) -> None:
    """The record as it came, its origin and its reason, in what a broker takes."""
    record = letter.record
    held("a registered reason", letter.reason in REJECTIONS, letter)
    held("no fault of ours", letter.reason != "handler_error", letter.detail, record)
    key, value, headers = encode.dead_letter(letter)
    size = wire_bytes(key, value, headers)
    held("a dead letter fits the broker", size <= BROKER_BYTES, size, len(headers))
    told = {name: content.decode() for name, content in added(headers).items()}
    origin = (told["dl_topic"], told["dl_partition"], told["dl_offset"], told["dl_timestamp"], told["dl_size"])
    came = (record.topic, record.partition, record.offset, record.timestamp, len(record.value or b""))
    held("the origin", origin == tuple(map(str, came)), origin, came)
    if value != record.value:
        assert record.value is not None
        held("cut beyond the limit only", len(record.value) > encode.DEAD_LETTER_WHOLE_BYTES, len(record.value))
        held("the beginning", value == record.value[: encode.DEAD_LETTER_CUT_BYTES], value)
        held("the digest", told["dl_sha256"] == sha256(record.value).hexdigest(), told)
    held("the key", key == record.key or told["dl_key_size"] == str(len(record.key or b"")), key)
    kept = headers[: len(record.headers)] == record.headers
    held("the headers", kept or told["dl_headers_dropped"] == str(len(record.headers)), len(headers))
    if schema:
        valid("dead-letter", told)


def added(headers: encode.Headers) -> dict[str, bytes]:
    """What was added: the last run of ``dl_`` headers, since the record may have come with some of its own."""
    at = max(at for at, (name, _) in enumerate(headers) if name == "dl_reason")
    return dict(headers[at:])


def rekeyed(record: Record, user: str) -> tuple[bytes, encode.Headers]:
    """Key and headers of a record sent on through ``ingress``, as the shell sends it; they fit the topic."""
    key = user.encode()
    headers = (*record.headers, ("rekeyed_from", f"{record.topic}:{record.partition}:{record.offset}".encode()))
    size = wire_bytes(key, record.value, headers)
    held("a re-keyed record fits the broker", size <= INBOUND_BYTES, size)
    return key, headers


def candidate(value: Candidate, *, schema: bool) -> None:
    """It fits a push payload and is as its schema says."""
    sent = encode.candidate(value)
    held("a candidate fits a push", len(sent) <= encode.CANDIDATE_BYTES, len(sent), value)
    if schema:
        valid("candidate", json.loads(sent))


def decision(value: Decision, *, schema: bool) -> None:
    """It has a reason, a propensity and versions, and is as its schema says."""
    sent = encode.decision(value)
    held("a reason", value.reason, value)
    held("a propensity", 0 < value.propensity <= 1, value)
    if schema:
        valid("decision", json.loads(sent))
