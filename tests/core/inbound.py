"""Making inbound records for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamer.core.events import Event
from streamer.core.parse import Limits, parse
from streamer.core.record import Record, Rejection

GOLDEN = {path.stem: path.read_bytes() for path in sorted((Path(__file__).parent / "golden").glob("*.json"))}
KAFKA_MS = 1_772_366_400_000
"""2026-03-01T12:00:00Z, after every golden event."""


def record(value: object, headers: tuple[tuple[str, bytes], ...] = (), timestamp: int = KAFKA_MS) -> Record:
    """A record at browse 3:17 with ``value``: bytes and None as they are, anything else as JSON."""
    raw = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return Record("browse", 3, 17, timestamp, b"user-42", raw, headers)


def envelope(**fields: Any) -> dict[str, Any]:
    """A valid view; ``fields`` replace, and None removes."""
    base: dict[str, Any] = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "shop",
        "type": "view",
        "subject": "user-42",
        "time": "2026-03-01T10:00:00Z",
        "data": {"item": "sku-1"},
    }
    return {name: value for name, value in {**base, **fields}.items() if value is not None}


def event(value: object, headers: tuple[tuple[str, bytes], ...] = (), limits: Limits | None = None) -> Event:
    """The event parsed from ``value``; a refusal fails the test."""
    parsed = parse(record(value, headers), limits or Limits())
    assert isinstance(parsed, Event), parsed
    return parsed


def refusal(value: object, headers: tuple[tuple[str, bytes], ...] = (), limits: Limits | None = None) -> str:
    """Why ``value`` was refused; an event fails the test."""
    parsed = parse(record(value, headers), limits or Limits())
    assert isinstance(parsed, Rejection), parsed
    return parsed.reason
