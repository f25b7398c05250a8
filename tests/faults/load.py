"""A load of known records: good events, and every kind of trouble among them.

A seed determines all of them but which pushes shoppers answer, which are of those that they got.
"""

from __future__ import annotations

import json
import random
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from aiokafka.partitioner import murmur2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Headers = tuple[tuple[str, bytes], ...]

MINUTE_MS: Final = 60_000
DAY_MS: Final = 24 * 60 * MINUTE_MS
SOURCE: Final = "fault-load"
CATEGORIES: Final = ("shoes", "bags", "tents", "lamps", "books", "toys")

#: How many of a thousand records are of a kind; the rest are good events.
TROUBLE_PER_MILLE: Final = {
    "duplicate": 40,
    "other_key": 15,
    "other_partition": 15,
    "poison": 40,
    "late": 10,
    "out_of_order": 25,
    "preferences": 12,
    "feedback": 24,
    "tombstone": 2,
    "erase": 1,
    "catalog": 8,
}
#: Good events by type, with their topic and how often.
GOOD: Final = (
    ("view", "browse", 560),
    ("list_view", "browse", 40),
    ("wishlist", "browse", 30),
    ("rating", "browse", 20),
    ("search", "search", 90),
    ("cart", "purchase", 130),
    ("remove_from_cart", "purchase", 20),
    ("checkout", "purchase", 20),
    ("purchase", "purchase", 80),
    ("refund", "purchase", 10),
)
#: What shoppers make of pushes, and how often; who unsubscribes is hardly pushed any more.
FEEDBACK: Final = {
    "delivered": 4,
    "opened": 4,
    "clicked": 4,
    "dismissed": 3,
    "converted": 2,
    "failed": 1,
    "unsubscribed": 1,
}


@dataclass(frozen=True, slots=True)
class Sending:
    """A record to be sent to a logical topic. ``partition`` None: where its key belongs."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: Headers = ()


def partition_of(key: bytes, partitions: int) -> int:
    """Where Java's and aiokafka's default puts a key."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def _none() -> list[tuple[str, str]]:
    return []


class Load:
    """An endless load. Event times run from ``from_ms`` on, ``step_ms`` a record; nothing else depends on a clock.

    ``pushed()`` tells of the newest pushes shopper and candidate id.
    """

    def __init__(
        self,
        seed: int,
        *,
        from_ms: int,
        step_ms: float,
        partitions: int,
        users: int = 150,
        items: int = 60,
        pushed: Callable[[], list[tuple[str, str]]] = _none,
    ) -> None:
        self._random = random.Random(seed)
        # Of its own: what was pushed must not change what else comes.
        self._answers, self._pushed = random.Random(f"{seed} answers"), pushed
        self._from_ms, self._step_ms = from_ms, step_ms
        self._partitions, self._users, self._items = partitions, users, items
        self._kinds = [*TROUBLE_PER_MILLE, "good"]
        self._weights = [*TROUBLE_PER_MILLE.values(), 1000 - sum(TROUBLE_PER_MILLE.values())]
        self._recent: deque[Sending] = deque(maxlen=80)
        self._tag = f"{seed}"
        self._count = 0
        self._poisons: tuple[Callable[[str, int], Sending], ...] = (
            lambda user, _: _sending("browse", user, b"\xff\xfe not json"),
            lambda user, _: _sending("purchase", user, b""),
            lambda user, _: _sending("search", user, b'{"specversion":"1.0"}'),
            lambda user, _: _sending("browse", user, b"[1,2,3]"),
            lambda user, _: _sending("browse", user, b'{"type":"view","time":NaN}'),
            lambda user, now: self._event(user, "teleport", "browse", now, item="item-1"),
            lambda user, now: self._event(user, "purchase", "purchase", now + 400 * DAY_MS, item="item-1"),
            lambda user, now: self._event(user, "view", "browse", now),
            lambda user, now: self._event(user, "cart", "purchase", now, items=[{"id": "item-1", "quantity": 0}]),
            lambda user, now: self._event(user, "view", "browse", now, item="x" * 300),
            lambda user, _: self._event(user, "view", "browse", 1, item="item-1"),
            lambda user, now: replace(self._event("", "view", "browse", now, item="item-1"), key=user.encode()),
        )

    def take(self, count: int) -> list[Sending]:
        """The next so many records."""
        return [self._next() for _ in range(count)]

    def giants(self) -> Iterator[Sending]:
        """Records over the limit of 1 MiB, for now and then: they cost the broker as much as a thousand others."""
        user = f"user-{self._random.randrange(self._users)}"
        yield self._event(user, "view", "browse", self._now_ms(), item="item-1", title="y" * 1_200_000)

    def _now_ms(self) -> int:
        return self._from_ms + int(self._count * self._step_ms)

    def _next(self) -> Sending:
        draw = self._random
        self._count += 1
        now = self._now_ms()
        if self._count <= self._items:
            return self._entry(self._count - 1)  # at first the catalog tells of each item
        user = f"user-{int(draw.random() ** 2 * self._users)}"
        kind = draw.choices(self._kinds, self._weights)[0]
        if kind == "duplicate" and self._recent:
            return draw.choice(self._recent)
        if kind == "poison":
            return draw.choice(self._poisons)(user, now)
        if kind == "preferences":
            return self._preferences(user, now)
        if kind == "catalog":
            return self._entry(self._number())
        if kind == "erase":
            return self._event(user, "preferences", "preferences", now, preferences={"erase": True})
        if kind == "tombstone":
            return Sending("preferences", user.encode(), None)
        if kind == "feedback":
            return self._answer(user, now)
        made = self._good(user, now - {"late": 8 * DAY_MS, "out_of_order": 20 * MINUTE_MS}.get(kind, 0))
        if kind == "other_key":
            made = replace(made, key=draw.choice((None, b"somebody else", b"\xff\x00")))
        elif kind == "other_partition":
            right = partition_of(user.encode(), self._partitions)
            made = replace(made, partition=(right + 1) % self._partitions)
        self._recent.append(made)
        return made

    def _good(self, user: str, time_ms: int) -> Sending:
        draw = self._random
        kind, topic, _ = draw.choices(GOOD, [often for _, _, often in GOOD])[0]
        if kind == "search":
            return self._event(user, kind, topic, time_ms, query=f"{draw.choice(CATEGORIES)}  No {draw.randrange(9)}")
        if kind == "checkout":
            return self._event(user, kind, topic, time_ms)
        lines = [self._line() for _ in range(draw.choice((1, 1, 1, 2, 3)) if topic == "purchase" else 1)]
        return self._event(user, kind, topic, time_ms, items=lines)

    def _line(self) -> dict[str, Any]:
        number = self._number()
        line: dict[str, Any] = {"id": f"item-{number}", "category": CATEGORIES[number % len(CATEGORIES)]}
        return line | {"brand": f"brand-{number % 5}", "price": 5 + number} if self._random.random() < 0.8 else line

    def _answer(self, user: str, now: int) -> Sending:
        """To a push of lately, by who got it and now and then by somebody else; or to one that never was."""
        draw, pushed = self._answers, self._pushed()
        word = draw.choices(list(FEEDBACK), list(FEEDBACK.values()))[0]
        candidate = f"{draw.getrandbits(128):032x}"
        if pushed and draw.random() < 0.85:
            shopper, candidate = draw.choice(pushed)
            user = shopper if draw.random() < 0.95 else user
        time_ms = now - draw.choice((0, 0, 0, 10 * MINUTE_MS))
        return self._event(user, f"push_{word}", "feedback", time_ms, candidate_id=candidate)

    def _number(self) -> int:
        return int(self._random.random() ** 1.5 * self._items)

    def _entry(self, number: int) -> Sending:
        """What the catalog says of an item now: prices fall and rise, stock goes and returns, some are taken out."""
        draw, key = self._random, f"item-{number}".encode()
        if draw.random() < 0.03:
            return Sending("catalog", key, None, partition=0)
        price = round((5 + number) * draw.choice((1.0, 0.95, 0.8, 0.6)), 2)
        said: dict[str, Any] = {"title": f"Item No {number}", "price": price}
        if draw.random() < 0.9:
            said["stock"] = draw.choice((0, 0, 3, 12, 700, True))
        return Sending("catalog", key, json.dumps(said).encode(), partition=0)

    def _preferences(self, user: str, now: int) -> Sending:
        said = self._random.choice(
            (
                {"consent": False},
                {"consent": True},
                {"consent": True, "channels": ["Email", "Push"]},
                {"channels": ["carrier pigeon"]},
                {"quiet_hours": ["22:00", "07:30"], "time_zone": "+01:00"},
                {"quiet_hours": ["09:00", "12:00"], "time_zone": "Europe/Paris"},
                {"quiet_hours": ["06:00", "06:00"]},
            )
        )
        return self._event(user, "preferences", "preferences", now, preferences=said)

    def _event(self, user: str, kind: str, topic: str, time_ms: int, **data: object) -> Sending:
        body = {
            "specversion": "1.0",
            "id": f"{self._tag}-{self._count}",
            "source": SOURCE,
            "type": kind,
            "time": datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds"),
            "data": data,
        }
        if user:
            body["subject"] = user
        return _sending(topic, user, json.dumps(body).encode())


def _sending(topic: str, user: str, value: bytes) -> Sending:
    return Sending(topic, user.encode() or None, value)
