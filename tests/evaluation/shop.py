"""A small shop to evaluate on."""

from __future__ import annotations

import random

from streamer.core.events import Event, Line, item_key


def event(user: str, time_s: int, item: str) -> Event:
    name = f"{user}{time_s}"
    return Event(user, name, "test", "view", time_s * 1000, item_key(name), (Line(item, item_key(item)),))


def shop(users: int = 20, steps: int = 8) -> list[Event]:
    """Shoppers who go round in one of five aisles, and back to an item now and then."""
    draw = random.Random(3)
    return [
        event(f"u{user}", 1570000000 + step * 600 + user, f"aisle{user % 5}-{draw.randrange(9)}")
        for step in range(steps)
        for user in range(users)
    ]
