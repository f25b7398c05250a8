"""Which records are folded here, and which are sent on or refused: what fuzzing found."""

from __future__ import annotations

import pytest

from streamer.core.effects import Effects
from streamer.core.encode import dead_letter
from streamer.core.intake import Reset, read
from streamer.core.parse import LATEST_MS, Limits
from streamer.core.record import Record
from tests.core.inbound import KAFKA_MS, envelope, record
from tests.fuzz.wire import BROKER_BYTES, wire_bytes


def tombstone(key: bytes, timestamp: int = KAFKA_MS, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    """The unsaying of a user's preferences."""
    return Record("preferences", 0, 1, timestamp, key, None, headers)


def refusals(sent: Record) -> list[str]:
    """Why a record is refused by the only task."""
    effects = Effects(0)
    found = read([sent], 0, 1, Limits(), effects)
    assert len(found) + len(effects.dead_letters) == 1
    return [letter.reason for letter in effects.dead_letters]


def test_a_record_without_a_value_unsays_the_preferences_of_its_key() -> None:
    """As of its Kafka timestamp."""
    assert read([tombstone(b"u")], 0, 1, Limits(), Effects(0))[0][1] == Reset("u", KAFKA_MS)


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("id_too_long", tombstone(b"u" * 257)),
        ("too_large", tombstone(b"u" * (1 << 20) + b"u")),
        ("too_large", tombstone(b"u", headers=(("x", b"h" * (1 << 20)),))),
        ("future_time", tombstone(b"u", timestamp=LATEST_MS)),
        ("empty", tombstone(b"\xff")),
    ],
)
def test_a_record_without_a_value_keeps_the_limits_of_others(reason: str, sent: Record) -> None:
    """Else a key of a megabyte would be remembered as a user, and a re-keyed one might fit no broker any more."""
    assert refusals(sent) == [reason]


def test_empty_headers_are_not_free() -> None:
    """A million of them are two megabytes on the wire: refused, and their dead letter is one that the broker takes."""
    sent = record(envelope(), headers=(("", b""),) * 1_000_000)
    effects = Effects(0)
    read([sent], 0, 1, Limits(), effects)
    assert [letter.reason for letter in effects.dead_letters] == ["too_large"]
    assert wire_bytes(*dead_letter(effects.dead_letters[0])) <= BROKER_BYTES
