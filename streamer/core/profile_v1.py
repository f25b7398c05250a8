"""Profiles as release 0.1 kept them, read so that state written by it goes on (table ``profile``, row version 1).

The upgrade loses nothing that is still used: keys of categories and brands are cut to their lower 32 bits, which is
what ``group_key`` gives.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streamer.core.packed import AFFINITY, BOUGHT, MAX16, MAX32, MAX63, RECENT, Affinity, Bought, Recent
from streamer.core.profile import Profile, Search


class _Recent(msgspec.Struct, array_like=True, gc=False):
    key: int
    last_s: int
    weight: int
    views: int = 0
    carts: int = 0
    purchases: int = 0
    category: int = 0
    brand: int = 0
    price_cents: int = 0


class _Keyed(msgspec.Struct, array_like=True, gc=False):
    key: int
    value: int


class _Profile(msgspec.Struct, array_like=True, gc=False):
    first_ms: int
    last_ms: int
    counts: tuple[int, int, int, int, int]
    sessions: int = 0
    session_start_ms: int = 0
    session_events: int = 0
    items: list[_Recent] = []
    categories: list[_Keyed] = []
    brands: list[_Keyed] = []
    era: int = -1
    price_weight: int = 0
    price_mean: float = 0.0
    price_var: float = 0.0
    searches: tuple[Search, ...] = ()
    purchased: list[_Keyed] = []


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
        BOUGHT.packed([Bought(b.key, b.value) for b in old.purchased]),
    )


def _recent(item: _Recent) -> Recent:
    return Recent(
        item.key,
        item.last_s,
        min(item.weight, MAX32),
        min(item.views, MAX16),
        min(item.carts, MAX16),
        min(item.purchases, MAX16),
        item.category & MAX32,
        item.brand & MAX32,
        item.price_cents if item.price_cents <= MAX32 else 0,
    )


def _affinities(sums: list[_Keyed]) -> bytes:
    return AFFINITY.packed([Affinity(a.key & MAX32, min(a.value, MAX63)) for a in sums])
