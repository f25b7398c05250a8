"""Settings of the item statistics and of retrieval, units in the names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
LONGEST_SESSION: Final = 64
"""Items: what holds more is no row of a session."""
MOST_NUMBERS: Final = 4096
"""Of a catalog's vector."""
MOST_WORDS: Final = 32
"""Of an item, for how alike texts are; that many keep its sums exact."""
MOST_SIZE: Final = 512
"""Of a projected vector: products of so many bytes are exact in single precision."""


@dataclass(frozen=True, slots=True)
class ItemSettings:
    """How items are counted and related. User tasks, the item role and the replicas must agree on the half-lives.

    The half-lives and ``query_buckets`` cannot change while data is kept: a task refuses others than it wrote with.
    ``trend_half_life_ms``: how fast the sums of trend fade; ``interest_half_life_ms``: those of popularity and of
    co-visitation.
    ``pair_window_s``: items of one user further apart than this are not related; ``pair_partners``: an item is related
    to so many distinct items before it, at most; ``pair_lines``: only so many lines of one event are related.
    ``neighbours_kept``: an item's table row holds at most so many neighbours; when there are more, the strongest
    ``neighbours_pruned_to`` stay, so that newcomers have room to grow. ``neighbours_published``: of the strongest,
    how many the replicas get.
    ``basket_items``: of a basket so many items are related; ``basket_s``: what is bought within so many seconds is of
    one order. ``search_s``: what is touched so long after a search was searched for; ``query_buckets``: what was chosen
    is told apart for so many queries. ``newcomer_events``: a shopper with fewer is a newcomer.
    ``cycle_gaps``: after how long an item is bought again is known from so many times that a shopper did, which fade by
    half in ``interest_half_life_ms``; ``category_cycle_gaps``: and of its category, where of the item it is not.
    """

    trend_half_life_ms: int = 3 * _DAY_MS
    interest_half_life_ms: int = 30 * _DAY_MS
    pair_window_s: int = 4 * 3600
    pair_partners: int = 4
    pair_lines: int = 8
    neighbours_kept: int = 64
    neighbours_pruned_to: int = 48
    neighbours_published: int = 32
    basket_items: int = 32
    basket_s: int = 600
    search_s: int = 1800
    query_buckets: int = 1 << 15
    newcomer_events: int = 4
    cycle_gaps: float = 4.0
    category_cycle_gaps: float = 16.0


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How much of others' sessions is remembered, by every worker.

    ``per_user``: so many of a shopper's newest sessions are on the topic. ``items``: of a session, so many of the
    items touched last, at most 64. ``kept``: a replica holds so many sessions, the newest. ``per_item``: of these an
    item finds the newest so many that it was in.
    """

    per_user: int = 4
    items: int = 32
    kept: int = 1 << 17
    per_item: int = 64

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be kept."""
        if not 2 <= self.items <= LONGEST_SESSION:
            raise ValueError(f"items of a session must be from 2 to {LONGEST_SESSION}, not {self.items}")
        if min(self.per_user, self.kept, self.per_item) < 1:
            raise ValueError("per_user, kept and per_item must be at least 1")


@dataclass(frozen=True, slots=True)
class ContentSettings:
    """What every worker keeps of what the catalog and events say of an item, to tell how alike two are.

    ``text_words``: so many words an item, of category, brand, price band, title, tags and description in this order, of
    2 bytes each, such as 16; 0 for no likeness of texts. ``vector_numbers``: how many numbers the catalog's ``vector``
    has, at most 4096; entries with another count are refused. 0: the shop has none, and those there are are left alone.
    ``vector_size``: a vector is projected to so many numbers, of a byte each, if it has more.
    """

    text_words: int = 0
    vector_numbers: int = 0
    vector_size: int = 64

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be kept."""
        if not 0 <= self.text_words <= MOST_WORDS:
            raise ValueError(f"text_words must be from 0 to {MOST_WORDS}, not {self.text_words}")
        if not 0 <= self.vector_numbers <= MOST_NUMBERS:
            raise ValueError(f"vector_numbers must be from 0 to {MOST_NUMBERS}, not {self.vector_numbers}")
        if not 8 <= self.vector_size <= MOST_SIZE:
            raise ValueError(f"vector_size must be from 8 to {MOST_SIZE}, not {self.vector_size}")


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """How candidates are found.

    ``trending_items``: how many of the most trending items everybody gets. ``covisitation_recents``: neighbours are
    looked up of so many of the newest items; ``covisitation_neighbours``: so many neighbours of each.
    ``category_count``: the user's so many strongest categories; ``category_items``: so many items of each.
    ``content_groups``: of the newest items so many groups alike in category and brand, and as many in category and
    price; ``content_items``: so many items of each.
    ``session_recents``: the nearest sessions are looked for by so many of the newest items; ``session_neighbours``: so
    many sessions vote, for ``session_items`` items. ``following_items``: so many items that came next for others.
    ``complement_recents``: what goes with so many of the newest items is looked up; ``complement_neighbours``: so many
    items that were bought with each; ``complement_items``: so many of all.
    ``search_items``: so many items that searchers chose, and as many that are called so, of which for each word the
    ``search_looked_at`` most popular are looked at. ``rising_items``: so many items that rise, and
    ``rising_in_category`` of each category. ``newcomer_items``: so many that newcomers took, at this hour of the day
    (UTC) and at any, ``segment_items``: that shoppers of the same segment took. ``fresh_items``: so many new items,
    which are those of fewer than ``fresh_views`` views. ``text_items``: so many new items that are most like the
    shopper's newest by their words, ``embedding_items``: by the vectors that the catalog brings along.
    ``vector_items``: so many items, of all, whose learned vectors fit the shopper best; 0 for none.
    ``recent_half_life_ms``: how fast an item the user touched loses its claim. ``items``: the half-lives by which the
    index's sums fade.
    ``without``: generators that are not asked, by name; ``without_features``: features, or groups of them, that the
    model is told to be 0.
    """

    trending_items: int = 40
    covisitation_recents: int = 8
    covisitation_neighbours: int = 24
    category_count: int = 3
    category_items: int = 16
    content_groups: int = 4
    content_items: int = 12
    session_recents: int = 12
    session_neighbours: int = 100
    session_items: int = 80
    following_items: int = 40
    complement_recents: int = 8
    complement_neighbours: int = 24
    complement_items: int = 32
    search_items: int = 32
    search_looked_at: int = 256
    rising_items: int = 12
    rising_in_category: int = 6
    newcomer_items: int = 24
    segment_items: int = 24
    fresh_items: int = 12
    fresh_views: int = 8
    text_items: int = 12
    embedding_items: int = 12
    vector_items: int = 0
    recent_half_life_ms: int = 6 * _HOUR_MS
    items: ItemSettings = ItemSettings()
    sessions: SessionSettings = SessionSettings()
    content: ContentSettings = ContentSettings()
    without: tuple[str, ...] = ()
    without_features: tuple[str, ...] = ()
