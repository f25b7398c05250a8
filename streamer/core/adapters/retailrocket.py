"""Rows of the RetailRocket data set (``events.csv``), each as a JSON object."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.adapters.inbound import text

SOURCE: Final = "retailrocket"

TYPES: Final[dict[str, str]] = {"view": "view", "addtocart": "cart", "transaction": "purchase"}


def recognises(body: dict[str, Any]) -> bool:
    """The three columns every row has."""
    return "visitorid" in body and "itemid" in body and "event" in body


def translate(body: dict[str, Any], timestamp: int) -> dict[str, Any]:  # noqa: ARG001 -- the protocol's
    """One row as the inbound envelope. ``timestamp`` of the row is milliseconds; rows have no id."""
    event, time = body["event"], body.get("timestamp")
    if isinstance(time, str) and time.isascii() and time.isdigit() and len(time) <= 20:
        time = int(time)
    return {
        "source": SOURCE,
        "type": TYPES.get(event, f"retailrocket:{event}") if isinstance(event, str) else event,
        "time": time,
        "data": {"anonymous_id": text(body["visitorid"]), "item": text(body["itemid"])},
    }
