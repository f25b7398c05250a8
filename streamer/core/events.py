"""What shoppers do: the registry of event types and the one typed event the core folds.

To add an event type: one line in ``EVENT_TYPES``, a ``case`` in ``profile.py``, a golden JSON
in ``tests/core/golden/``.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final, Literal

import msgspec

Kind = Literal["view", "search", "cart", "purchase", "other", "feedback", "preference"]


class EventType(msgspec.Struct, frozen=True):
    """How one registered type behaves.

    ``topic`` is where producers should send it (the topic is transport only: the type decides).
    ``kind`` is how the profile counts it. ``weight`` is the interest one line of it shows, in
    units of one view; negative weights take interest back (a removal, a refund). ``triggers``
    tells whether a campaign may react to it. ``needs`` is what ``data`` must carry.
    """

    name: str
    topic: str
    kind: Kind
    weight: float
    triggers: bool
    needs: Literal["items", "query", "candidate", "preferences", "nothing"]


EVENT_TYPES: Final[dict[str, EventType]] = {
    e.name: e
    for e in (
        EventType("view", "browse", "view", 1.0, True, "items"),
        EventType("click", "browse", "view", 1.0, True, "items"),
        EventType("list_view", "browse", "other", 0.1, False, "items"),
        EventType("wishlist", "browse", "other", 2.0, True, "items"),
        EventType("rating", "browse", "other", 1.0, False, "items"),
        EventType("review", "browse", "other", 1.0, False, "items"),
        EventType("search", "search", "search", 0.0, True, "query"),
        EventType("cart", "purchase", "cart", 3.0, True, "items"),
        EventType("remove_from_cart", "purchase", "other", -2.0, False, "items"),
        EventType("checkout", "purchase", "other", 0.0, False, "nothing"),
        EventType("purchase", "purchase", "purchase", 5.0, False, "items"),
        EventType("refund", "purchase", "other", -4.0, False, "items"),
        EventType("coupon", "purchase", "other", 0.0, False, "nothing"),
        EventType("push_delivered", "feedback", "feedback", 0.0, False, "candidate"),
        EventType("push_opened", "feedback", "feedback", 0.0, False, "candidate"),
        EventType("push_clicked", "feedback", "feedback", 0.0, False, "candidate"),
        EventType("push_dismissed", "feedback", "feedback", 0.0, False, "candidate"),
        EventType("push_converted", "feedback", "feedback", 0.0, False, "candidate"),
        EventType("push_failed", "feedback", "feedback", 0.0, False, "candidate"),
        EventType("push_unsubscribed", "feedback", "feedback", 0.0, False, "candidate"),
        EventType("preferences", "preferences", "preference", 0.0, False, "preferences"),
    )
}

REJECTIONS: Final[dict[str, str]] = {
    "empty": "the record has no value",
    "not_json": "the value is not JSON text",
    "not_an_event": "JSON, but of no shape this system knows",
    "missing_field": "a required field is absent",
    "wrong_type": "a field has a type the contract does not allow",
    "unknown_type": "the event's type is not registered",
    "no_user": "neither subject, user id nor anonymous id names a user",
    "bad_time": "the time cannot be read or is before 2000-01-01",
    "future_time": "the time is more than five minutes ahead of the Kafka timestamp, or after 2099",
    "too_large": "the record is larger than the limit",
    "too_many_lines": "more lines in one event than the limit",
    "id_too_long": "an id is longer than the limit",
    "misrouted": "re-keyed once, and still not under its user's key and partition",
    "handler_error": "folding the event raised; the detail names the exception",
}


class Line(msgspec.Struct, frozen=True, gc=False):
    """One item of an event. ``key`` is ``item_key(item)``; ``price`` is per piece, NaN if unknown."""

    item: str
    key: int
    quantity: int = 1
    price: float = float("nan")
    category: str = ""
    brand: str = ""
    title: str = ""


class Preferences(msgspec.Struct, frozen=True):
    """What a shopper allows. ``None`` leaves the earlier word standing."""

    consent: bool | None = None
    channels: tuple[str, ...] | None = None
    quiet_hours: tuple[int, int] | None = None
    time_zone: str | None = None
    erase: bool = False


class Event(msgspec.Struct, frozen=True):
    """One thing that happened, whatever shape it arrived in.

    ``time`` and ``timestamp`` (Kafka) are milliseconds since the epoch, UTC. ``fingerprint`` is 64 bits of
    (source, id); where the producer gave no id it is of body and time, and ``weak`` says so.
    """

    user: str
    id: str
    source: str
    type: str
    time: int
    fingerprint: int
    lines: tuple[Line, ...] = ()
    query: str = ""
    session: str = ""
    weak: bool = False
    candidate_id: str = ""
    preferences: Preferences | None = None
    topic: str = ""
    partition: int = 0
    offset: int = 0
    timestamp: int = 0
    produced_at: bytes = b""


def key64(text: str) -> int:
    """A 64-bit identity of a string, the same on every machine and in every process (BLAKE2b)."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


item_key = key64


@lru_cache(maxsize=1 << 14)
def group_key(name: str) -> int:
    """A 32-bit identity of a category or a brand: half of ``key64``, as profiles hold many of them.

    Shops have few of them, and hashing one costs as much as the rest of a line: the newest are remembered.
    Of a shop's 10,000 brands two share a key with a chance of about 1 %; their interests then count as one.
    """
    return key64(name) & 0xFFFF_FFFF
