"""A seeded, skewed shop: who looks at what, in which order. Real-looking load, not real data.

Users and items follow Zipf's law; an item has a category, a brand and a price; a session stays mostly in one category,
so that co-visitation and affinities have something to find; some views become carts, some carts purchases, some
sessions begin with a search.
"""

from __future__ import annotations

import random
from itertools import accumulate
from typing import TYPE_CHECKING

from streamer.core.events import Event, Line, item_key, key64

if TYPE_CHECKING:
    from collections.abc import Iterator

CATEGORIES = 120
BRANDS = 200
SESSION = 6
SKEW = 0.8


def shop(events: int, *, users: int = 20_000, items: int = 5_000, seed: int = 1, step_ms: int = 5) -> Iterator[Event]:
    """``events`` events, ``step_ms`` apart in event time from the epoch's 2026 on; publishing shifts them to now."""
    draw = random.Random(seed)
    catalog = [_line(i, draw) for i in range(items)]
    by_category: dict[str, list[Line]] = {}
    for line in catalog:
        by_category.setdefault(line.category, []).append(line)
    user_weights = list(accumulate((n + 1) ** -SKEW for n in range(users)))
    item_weights = list(accumulate((n + 1) ** -SKEW for n in range(items)))
    sessions: dict[int, tuple[str, int]] = {}
    time = 1_767_225_600_000
    for number in range(events):
        time += step_ms
        user = draw.choices(range(users), cum_weights=user_weights)[0]
        category, left = sessions.get(user, ("", 0))
        if left == 0:
            category, left = draw.choices(catalog, cum_weights=item_weights)[0].category, draw.randint(1, 2 * SESSION)
        sessions[user] = (category, left - 1)
        near = by_category[category]
        line = near[min(len(near) - 1, int(draw.expovariate(0.15)))]
        luck = draw.random()
        kind = "view" if luck < 0.86 else "search" if luck < 0.91 else "cart" if luck < 0.97 else "purchase"
        yield _event(number, f"user-{user}", kind, time, line)


def _line(number: int, draw: random.Random) -> Line:
    item = f"item-{number}"
    category = f"category-{min(CATEGORIES - 1, int(draw.expovariate(0.03)))}"
    brand = f"brand-{draw.randrange(BRANDS)}"
    return Line(item, item_key(item), price=round(draw.lognormvariate(3.5, 1.0), 2), category=category, brand=brand)


def _event(number: int, user: str, kind: str, time: int, line: Line) -> Event:
    identity = f"shop-{number}"
    query = f"{line.category} {line.brand}" if kind == "search" else ""
    lines = () if kind == "search" else (line,)
    return Event(user, identity, "shop", kind, time, key64(identity), lines, query)
