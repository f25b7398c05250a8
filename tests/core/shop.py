"""A small seeded shop for the tests of retrieval and ranking: events, profiles, and an index fed from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.events import Event, Line, item_key
from streamer.core.index import ItemIndex
from streamer.core.items.deltas import ItemDeltas, touched_before
from streamer.core.items.fold import apply_deltas
from streamer.core.items.leads import leads_of
from streamer.core.items.rows import index_row
from streamer.core.items.state import ItemState, row_key
from streamer.core.profile import Profile, fold
from streamer.core.queries import Queries
from streamer.core.retrieval_settings import ContentSettings, ItemSettings, RetrievalSettings
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.portrait import NAMES
from streamer.core.segments.served import CENTRES, ServedSegments, encode_centres
from streamer.core.sessions.rows import session_key, session_row
from streamer.core.settings import ProfileSettings
from streamer.core.vector_settings import VectorSettings
from streamer.core.vectors.learner import OnlineVectors
from streamer.core.vectors.step import step_of

if TYPE_CHECKING:
    from collections.abc import Sequence

START_MS = 1_570_000_000_000
ITEMS = ItemSettings()
RETRIEVAL = RetrievalSettings(vector_items=20)
PROFILES = ProfileSettings()
VECTORS = VectorSettings()
CONTENT = ContentSettings(text_words=16, vector_numbers=12)


def content_of(item: str) -> list[float]:
    """A vector as a catalog would bring it along, an item's own."""
    random = Random(item)
    return [random.gauss() for _ in range(CONTENT.vector_numbers)]


def two_segments() -> ServedSegments:
    """Shoppers of many views are in one, the others in the other."""
    segments = ServedSegments(SegmentSettings(learn_rate=1.0))
    centres = np.zeros((2, len(NAMES)), np.int64)
    centres[1, NAMES.index("views")] = 900
    assert segments.apply(CENTRES, encode_centres(centres, 1, 2))
    return segments


@dataclass
class Shop:
    """Profiles by user, the item role's rows and the newest row of each session, after all events."""

    now_ms: int = START_MS
    profiles: dict[str, Profile] = field(default_factory=dict)
    rows: dict[str, ItemState] = field(default_factory=dict)
    sessions: dict[str, bytes] = field(default_factory=dict)
    vectors: OnlineVectors = field(default_factory=lambda: OnlineVectors(VECTORS))
    segments: ServedSegments = field(default_factory=two_segments)

    def get_many(self, keys: Sequence[str]) -> list[ItemState | None]:
        """As the table of items."""
        return [self.rows.get(key) for key in keys]

    def happen(self, event: Event) -> None:
        """Count and fold an event."""
        profile = self.profiles.get(event.user)
        deltas, node = ItemDeltas(), self.segments.node(profile, event.time)
        leads = leads_of(event, profile, ITEMS, segment=node)
        deltas.add(event, touched_before(profile, event.time, ITEMS), ITEMS, leads)
        if (step := step_of(event, profile, VECTORS)) is not None:
            self.vectors.learn(step)
        self.rows.update({row_key(k): s for k, s in apply_deltas(deltas, self, ITEMS).items()})
        profile = self.profiles[event.user] = fold(profile, event, PROFILES)
        session = session_row(profile, RETRIEVAL.sessions)
        if session is not None:
            self.sessions[session_key(event.user, profile.sessions, RETRIEVAL.sessions)] = session
        self.now_ms = max(self.now_ms, event.time)

    def index(self, seed: int | None = None) -> ItemIndex:
        """An index of all rows, applied in an order that the seed decides."""
        index = ItemIndex(capacity=8, content=CONTENT)
        states, sessions = list(self.rows.values()), list(self.sessions.items())
        if seed is not None:
            Random(seed).shuffle(states)
            Random(seed).shuffle(sessions)
        for key, session in sessions:
            index.sessions.apply(key, session)
        for state in states:
            index.apply_row(state.key, index_row(state, ITEMS))
        for state in states:
            if (vector := self.vectors.vector(state.key)) is not None:
                index.vectors.put(np.array([state.key], np.uint64), vector[None, :])
            if state.item and state.key % 4:
                index.embeddings.tell(index.dense(state.key), content_of(state.item))
        return index

    def queries(self, users: Sequence[str]) -> Queries:
        """One query for each user, at the end of time."""
        queries = Queries(RETRIEVAL)
        for user in users:
            profile = self.profiles.get(user)
            queries.add(profile, self.now_ms, user=user, segment=self.segments.node(profile, self.now_ms))
        return queries


def make_shop(seed: int = 1, users: int = 30, items: int = 120, events: int = 900) -> Shop:
    """A skewed shop: few items are popular, users stay in the neighbourhood of one."""
    random = Random(seed)
    shop = Shop()
    kinds = ["view"] * 8 + ["cart", "purchase"]
    for n in range(events):
        user = random.randrange(users)
        number = int(items * random.random() ** 2 + user * 4) % items
        name = f"item {number}"
        line = Line(
            name,
            item_key(name),
            price=1.0 + number,
            category=f"category {number % 7}" if number % 5 else "",
            brand=f"brand {number % 11}" if number % 3 else "",
            title=f"Thing {number}" if number % 2 else "",
        )
        at = START_MS + n * 60_000
        if n % 9 == 0:
            search = Event(
                f"user {user}", f"q{n}", "test", "search", at - 1, events + n, query=f"thing brand {number % 11}"
            )
            shop.happen(search)
        shop.happen(Event(f"user {user}", str(n), "test", random.choice(kinds), at, n, (line,)))
    for n in range(8):
        number = n * 13 % items
        line = Line(f"item {number}", item_key(f"item {number}"))
        at = START_MS + (events + n % 4) * 60_000 + n
        shop.happen(Event(f"visitor {n % 4}", f"v{n}", "test", "view", at, 2 * events + n, (line,)))
    return shop


@cache
def shared_shop(seed: int = 1, events: int = 900) -> Shop:
    """The same, made once for all who add nothing to it."""
    return make_shop(seed, events=events)
