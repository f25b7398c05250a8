"""What somebody does in the simulated shop, and its record on Kafka."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from load_tests.shop.goods import brand_name, category_name, item_id
from load_tests.shop.people import user_id

if TYPE_CHECKING:
    from load_tests.shop.goods import Goods

SOURCE: Final = "simulated-shop"
TOPICS: Final = {
    "view": "browse",
    "search": "search",
    "cart": "purchase",
    "purchase": "purchase",
    "preferences": "preferences",
}
"""Of the types that shoppers' doings have; those that begin with ``push_`` are on ``feedback``."""


class Action(NamedTuple):
    """One event. ``items`` by number; ``about``: the candidate it answers; ``preferences``: all that hold."""

    time_ms: int
    id: str
    type: str
    shopper: int
    items: tuple[int, ...] = ()
    query: str = ""
    about: str = ""
    preferences: dict[str, Any] | None = None


class Row(NamedTuple):
    """A record to send: topic without prefix, key, value, Kafka timestamp in milliseconds."""

    topic: str
    key: bytes
    value: bytes
    timestamp_ms: int


def rfc3339(time_ms: int) -> str:
    """UTC, with milliseconds."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(text: str) -> int:
    """Since the epoch, of an RFC 3339 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def record(action: Action, goods: Goods) -> Row:
    """As the contract has it. Its Kafka timestamp is its own time: the run lies in the past."""
    data: dict[str, Any] = {}
    if action.items:
        data["items"] = [_line(item, action.time_ms, goods) for item in action.items]
    if action.query:
        data["query"] = action.query
    if action.about:
        data["candidate_id"] = action.about
    if action.preferences is not None:
        data["preferences"] = action.preferences
    body = {
        "specversion": "1.0",
        "id": action.id,
        "source": SOURCE,
        "type": action.type,
        "subject": user_id(action.shopper),
        "time": rfc3339(action.time_ms),
        "data": data,
    }
    topic = TOPICS.get(action.type, "feedback")
    return Row(topic, user_id(action.shopper).encode(), json.dumps(body).encode(), action.time_ms)


def _line(item: int, time_ms: int, goods: Goods) -> dict[str, Any]:
    return {
        "id": item_id(item),
        "price": goods.price_of(item, time_ms),
        "category": category_name(int(goods.category[item])),
        "brand": brand_name(int(goods.brand[item])),
    }
