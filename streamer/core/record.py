"""A Kafka record as the core sees it, and the record's refusal."""

from __future__ import annotations

from typing import Final

import msgspec

TICK: Final = "tick"
"""The topic of a record that is none: the task's clock, whose ``offset`` is a time in milliseconds."""


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


def tick(partition: int, time_ms: int) -> Record:
    """The record that says what time it is."""
    return Record(TICK, partition, time_ms, time_ms, None, None)


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """Why a record cannot be folded. ``reason`` is one of ``events.REJECTIONS``."""

    reason: str
    detail: str = ""
