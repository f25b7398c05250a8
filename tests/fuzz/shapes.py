"""Good inputs of every shape, with their names and times drawn anew: what there is to spoil."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamer.core.adapters import ga4, retailrocket, segment
from streamer.core.encode import rfc3339
from streamer.core.events import EVENT_TYPES
from tests.core.inbound import GOLDEN, KAFKA_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Tree = dict[str, Any]

LONGEST: Final = ("i" * 256, '"' * 128, "\\" * 128, "\u00fc" * 128, "\U0001f45f" * 64, "\x01" * 42)
"""Ids of the most bytes that the contract allows."""

USERS: Final = (*(f"user-{n}" for n in range(24)), *LONGEST)
ITEMS: Final = (*(f"item-{n}" for n in range(40)), *LONGEST)
_TITLES: Final = ("Shoe", "Trail shoe", "t" * 200, "\u9774" * 128, "\x01" * 128)
_HOUR_MS: Final = 3_600_000
_LATEST_MS: Final = 253_402_300_799_999
_OURS: Final = tuple(name for name in GOLDEN if EVENT_TYPES[name].needs not in {"candidate", "preferences"})
_FEEDBACK: Final = tuple(name for name in GOLDEN if EVENT_TYPES[name].needs == "candidate")


@dataclass(frozen=True, slots=True)
class Draw:
    """What a good input is drawn with. ``at_ms``: when it happened; ``users``: to whom."""

    rng: Random
    users: tuple[str, ...] = USERS
    at_ms: int = KAFKA_MS - _HOUR_MS

    def user(self) -> str:
        """Somebody."""
        return self.rng.choice(self.users)

    def item(self) -> str:
        """Something, some more often than others."""
        return ITEMS[int(self.rng.random() ** 2 * len(ITEMS))]

    def number(self) -> int:
        """Something never drawn before."""
        return self.rng.getrandbits(40)

    def time(self) -> int | str:
        """Then, as a number or in words."""
        if self.at_ms > _LATEST_MS or self.rng.random() < 0.5:
            return self.at_ms
        return rfc3339(self.at_ms)


def _golden(draw: Draw, names: tuple[str, ...]) -> Tree:
    name = draw.rng.choice(names)
    tree: Tree = json.loads(GOLDEN[name])
    tree["subject"], tree["id"], tree["time"] = draw.user(), f"{name}-{draw.number()}", draw.time()
    data = tree.get("data") or {}
    if "item" in data:
        data["item"] = draw.item()
        data["title"], data["brand"] = draw.rng.choice(_TITLES), draw.rng.choice(_TITLES)
    for line in data.get("items", ()):
        line["id"] = draw.item()
    return tree


def _segment(draw: Draw) -> Tree:
    rng = draw.rng
    product = {
        "product_id": rng.choice((draw.item(), 77)), "name": "Shoe", "brand": "acme", "category": "shoes",
        "price": "9.5", "quantity": 2,
    }  # fmt: skip
    properties: Tree = {"products": [product, {"sku": draw.item()}]} if rng.random() < 0.5 else dict(product)
    return {
        "type": rng.choice(("track", None)), "event": rng.choice(tuple(segment.TYPES)),
        "messageId": f"m-{draw.number()}", "userId": rng.choice((draw.user(), None)),
        "anonymousId": draw.user(), "timestamp": draw.time(),
        "properties": {**properties, "query": "trail running", "session_id": rng.choice(("s-1", 17))},
    }  # fmt: skip


def _ga4_item(draw: Draw) -> Tree:
    return {
        "item_id": draw.rng.choice((draw.item(), 5)), "item_name": "Shoe", "item_brand": "acme",
        "item_category": "shoes", "price": 9.5, "quantity": 1,
    }  # fmt: skip


def _ga4_row(draw: Draw) -> Tree:
    rng, micros = draw.rng, draw.at_ms * 1000 + 999
    parameters = [
        {"key": "search_term", "value": {"string_value": "shoes", "int_value": None}},
        {"key": "ga_session_id", "value": {"int_value": 17}},
        {"key": "event_id", "value": {"string_value": f"g-{draw.number()}"}},
    ]
    return {
        "event_name": rng.choice(tuple(ga4.TYPES)), "event_timestamp": rng.choice((micros, str(micros))),
        "user_pseudo_id": draw.user(), "user_id": rng.choice((None, draw.user())), "event_params": parameters,
        "items": [_ga4_item(draw) for _ in range(rng.randint(1, 3))],
    }  # fmt: skip


def _ga4_body(draw: Draw) -> Tree:
    parameters = {"search_term": "shoes", "session_id": "17", "items": [_ga4_item(draw)], "event_id": None}
    return {
        "client_id": draw.user(), "timestamp_micros": draw.at_ms * 1000,
        "events": [{"name": draw.rng.choice(tuple(ga4.TYPES)), "params": parameters}],
    }  # fmt: skip


def _retailrocket(draw: Draw) -> Tree:
    rng = draw.rng
    return {
        "timestamp": rng.choice((draw.at_ms, str(draw.at_ms))), "visitorid": rng.choice((draw.user(), 257597)),
        "event": rng.choice(tuple(retailrocket.TYPES)), "itemid": rng.choice((draw.item(), 355908)),
        "transactionid": None,
    }  # fmt: skip


def catalog_row(rng: Random) -> Tree:
    """What a shop says of an item."""
    return {
        "title": "Trail shoe", "category": rng.choice(("shoes.running", "category-1")), "categories": ["shoes", "sale"],
        "brand": "acme", "price": 89.9, "stock": rng.choice((3, 0, 2.5, True, False, None)), "tags": ["new"],
        "description": "For stony ground.", "vector": rng.choice((None, [0.5, -1, 2.25], [0, 0, 0])),
    }  # fmt: skip


SHAPES: Final[dict[str, tuple[str, Callable[[Draw], Tree]]]] = {
    "envelope": ("browse", lambda draw: _golden(draw, _OURS)),
    "binary": ("purchase", lambda draw: _golden(draw, tuple(GOLDEN))),
    "feedback": ("feedback", lambda draw: _golden(draw, _FEEDBACK)),
    "preferences": ("preferences", lambda draw: _golden(draw, ("preferences",))),
    "segment": ("browse", _segment),
    "ga4 row": ("browse", _ga4_row),
    "ga4 body": ("browse", _ga4_body),
    "retailrocket": ("browse", _retailrocket),
    "tombstone": ("preferences", lambda _: {}),
}
"""By name: the topic such records usually travel on, and what makes one (for binary mode, its envelope)."""
