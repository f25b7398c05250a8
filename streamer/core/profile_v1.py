"""Profiles as release 0.1 kept them, read so that state written by it goes on (table ``profile``, row version 1).

The upgrade loses nothing that is still used: keys of categories and brands are cut to their lower 32 bits, which is
what ``group_key`` gives.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streamer.core.packed import AFFINITY, BOUGHT, MAX16, MAX32, MAX63, RECENT, Affinity, Bought, Recent
from streamer.core.profile import Profile, Search


class _Profile(msgspec.Struct, array_like=True, gc=False):
    first_ms: int
    last_ms: int
    counts: tuple[int, int, int, int, int]
    sessions: int = 0
    session_start_ms: int = 0
    session_events: int = 0
    items: list[Recent] = []
    categories: list[Affinity] = []
    brands: list[Affinity] = []
    era: int = -1
    price_weight: int = 0
    price_mean: float = 0.0
    price_var: float = 0.0
    searches: tuple[Search, ...] = ()
    purchased: list[Bought] = []


_DECODE: Final = msgspec.msgpack.Decoder(_Profile).decode


def profile_of_version_1(body: bytes) -> Profile:
    """The profile of a row of version 1. Raises ``msgspec.DecodeError`` if it is none."""
    old = _DECODE(body)
    return Profile(
        old.first_ms,
        old.last_ms,
        old.counts,
        old.sessions,
        old.session_start_ms,
        old.session_events,
        RECENT.packed([_recent(item) for item in old.items]),
        _affinities(old.categories),
        _affinities(old.brands),
        old.era,
        old.price_weight,
        old.price_mean,
        old.price_var,
        old.searches,
        BOUGHT.packed(old.purchased),
    )


def _recent(item: Recent) -> Recent:
    return item._replace(
        weight=min(item.weight, MAX32),
        views=min(item.views, MAX16),
        carts=min(item.carts, MAX16),
        purchases=min(item.purchases, MAX16),
        category=item.category & MAX32,
        brand=item.brand & MAX32,
        price_cents=item.price_cents if item.price_cents <= MAX32 else 0,
    )


def _affinities(sums: list[Affinity]) -> bytes:
    return AFFINITY.packed([Affinity(a.key & MAX32, min(a.weight, MAX63)) for a in sums])
