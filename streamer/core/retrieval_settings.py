"""Settings of the item statistics and of retrieval, units in the names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class ItemSettings:
    """How items are counted and related. User tasks, the item role and the replicas must agree on the half-lives.

    ``trend_half_life_ms``: how fast the sums of trend fade; ``interest_half_life_ms``: those of popularity and of
    co-visitation.
    ``pair_window_s``: items of one user further apart than this are not related; ``pair_partners``: an item is related
    to so many distinct items before it, at most; ``pair_lines``: only so many lines of one event are related.
    ``neighbours_kept``: an item's table row holds at most so many neighbours; when there are more, the strongest
    ``neighbours_pruned_to`` stay, so that newcomers have room to grow. ``neighbours_published``: of the strongest,
    how many the replicas get.
    """

    trend_half_life_ms: int = 12 * _HOUR_MS
    interest_half_life_ms: int = 30 * _DAY_MS
    pair_window_s: int = 4 * 3600
    pair_partners: int = 4
    pair_lines: int = 8
    neighbours_kept: int = 64
    neighbours_pruned_to: int = 48
    neighbours_published: int = 32


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """How candidates are found.

    ``trending_items``: how many of the most trending items everybody gets. ``covisitation_recents``: neighbours are
    looked up of so many of the newest items; ``covisitation_neighbours``: so many neighbours of each.
    ``category_count``: the user's so many strongest categories; ``category_items``: so many items of each.
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
    recent_half_life_ms: int = 6 * _HOUR_MS
    items: ItemSettings = ItemSettings()
    without: tuple[str, ...] = ()
    without_features: tuple[str, ...] = ()
