"""Google Analytics 4 e-commerce events: rows of the BigQuery export, and Measurement Protocol bodies with one event."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.adapters.inbound import fields, text

SOURCE: Final = "ga4"

TYPES: Final[dict[str, str]] = {
    "view_item": "view",
    "select_item": "click",
    "view_item_list": "list_view",
    "search": "search",
    "view_search_results": "search",
    "add_to_cart": "cart",
    "remove_from_cart": "remove_from_cart",
    "add_to_wishlist": "wishlist",
    "begin_checkout": "checkout",
    "purchase": "purchase",
    "refund": "refund",
}


def recognises(body: dict[str, Any]) -> bool:
    """``event_name``, or a list of ``events`` beside the identity of a client."""
    if "type" in body:
        return False
    if isinstance(body.get("event_name"), str):
        return True
    return isinstance(body.get("events"), list) and any(
        name in body for name in ("client_id", "user_id", "app_instance_id")
    )


def translate(body: dict[str, Any], timestamp: int) -> dict[str, Any]:
    """One event as the inbound envelope. A body of several events has no type: one event a record is the contract."""
    if "event_name" in body:
        name, parameters, items = body["event_name"], _parameters(body.get("event_params")), body.get("items")
        micros = body.get("event_timestamp")
    else:
        events = body["events"]
        event = fields(events[0]) if len(events) == 1 else {"name": f"{len(events)} events in one record"}
        name, parameters = event.get("name"), fields(event.get("params"))
        items, micros = None, event.get("timestamp_micros")
    if micros is None:
        micros = body.get("timestamp_micros")
    if items is None:
        items = parameters.get("items")
    query = parameters.get("search_term")
    anonymous = next((body[key] for key in ("user_pseudo_id", "client_id", "app_instance_id") if body.get(key)), None)
    return {
        "id": text(parameters.get("event_id")),
        "source": SOURCE,
        "type": TYPES.get(name, f"ga4:{name}") if isinstance(name, str) else name,
        "subject": text(body.get("user_id")),
        "time": timestamp if micros is None else _milliseconds(micros),
        "data": {
            "items": [_item(item) for item in items] if isinstance(items, list) else items,
            "query": text(query),
            "session": text(parameters.get("ga_session_id", parameters.get("session_id"))),
            "anonymous_id": text(anonymous),
        },
    }


def _parameters(value: object) -> dict[str, object]:
    """The export writes parameters as ``[{key, value: {string_value | int_value | …}}]``."""
    if not isinstance(value, list):
        return fields(value)
    found: dict[str, object] = {}
    for entry in value:
        key = fields(entry).get("key")
        if isinstance(key, str):
            typed = fields(entry["value"]) if "value" in entry else {}
            found[key] = next((typed[name] for name in sorted(typed) if typed[name] is not None), None)
    return found


def _milliseconds(micros: object) -> object:
    """The export writes 64-bit integers as text."""
    if isinstance(micros, str) and micros.isascii() and micros.isdigit() and len(micros) <= 20:
        micros = int(micros)
    return micros // 1000 if isinstance(micros, int) else micros


def _item(item: Any) -> object:
    if not isinstance(item, dict):
        return item
    return {
        "id": text(item.get("item_id")),
        "quantity": item.get("quantity"),
        "price": item.get("price"),
        "category": item.get("item_category"),
        "brand": item.get("item_brand"),
        "title": item.get("item_name"),
    }
