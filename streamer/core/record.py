"""A Kafka record as the core sees it, and the record's refusal."""

from __future__ import annotations

from typing import Final

import msgspec

TICK: Final = "tick"
"""The topic of a record that is none: the task's clock, whose ``offset`` is a time in milliseconds. A ``value`` is an
offset of the catalog, in digits: changes before it are to be told.
"""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One inbound record, bytes untouched.

    ``timestamp`` is the Kafka timestamp in milliseconds; ``topic`` is the *logical* name
    (no tenant prefix), such as ``browse`` or ``ingress``.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


def tick(partition: int, time_ms: int, changes: int = 0) -> Record:
    """The record that says what time it is, and up to where the catalog's changes are to be told (0: none are)."""
    return Record(TICK, partition, time_ms, time_ms, None, b"%d" % changes if changes else None)


def changes_of(tick: Record) -> int:
    """Up to where a tick has the catalog's changes told."""
    return int(tick.value) if tick.value else 0


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why a record cannot be folded. ``reason`` is one of ``events.REJECTIONS``."""

    reason: str
    detail: str = ""
