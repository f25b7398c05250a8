"""The inbound envelope as it is decoded: permissive, unchecked, and what every adapter translates into."""

from __future__ import annotations

import msgspec


class InboundItem(msgspec.Struct, gc=False):
    """One item as sent. ``id`` and ``item`` both name it; ``price`` is per piece."""

    id: str | None = None
    item: str | None = None
    quantity: int | None = None
    price: float | None = None
    category: str | None = None
    brand: str | None = None
    title: str | None = None


class InboundPreferences(msgspec.Struct, gc=False):
    """What a shopper allows, as sent; ``quiet_hours`` are two local times, ``HH:MM``."""

    consent: bool | None = None
    channels: list[str] | None = None
    quiet_hours: tuple[str, str] | None = None
    time_zone: str | None = None
    erase: bool = False


class InboundData(msgspec.Struct, gc=False):
    """The event's own part: one item inline, or several in ``items``."""

    item: str | None = None
    quantity: int | None = None
    price: float | None = None
    category: str | None = None
    brand: str | None = None
    title: str | None = None
    items: list[InboundItem] | None = None
    query: str | None = None
    session: str | None = None
    user_id: str | None = None
    anonymous_id: str | None = None
    candidate_id: str | None = None
    preferences: InboundPreferences | None = None


class Inbound(msgspec.Struct, gc=False):
    """A CloudEvents 1.0 envelope. ``time`` is RFC 3339 or milliseconds since the epoch."""

    specversion: str | None = None
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: str | int | None = None
    data: InboundData | None = None


def text(value: object) -> object:
    """An id that foreign producers may send as a number, as text; anything else unchanged, for decoding to judge."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def fields(value: object) -> dict[str, object]:
    """``value`` if it is an object, else an empty one: what is absent is judged later, by what the type needs."""
    return value if isinstance(value, dict) else {}
