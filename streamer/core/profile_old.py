"""Profiles as earlier releases kept them, read so that state written by them goes on (table ``profile``).

Row version 1 is release 0.1's; version 2 packs what it lists. Neither counted purchases: what was bought counts once.
Version 3 did not count the hours of visits: they are learned from then on.

The upgrades lose nothing that is still used: keys of categories and brands are cut to their lower 32 bits, which is
what ``group_key`` gives.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.packed import AFFINITY, BOUGHT, MAX16, MAX32, MAX63, RECENT, Affinity, Bought, Recent
from streamer.core.profile import Profile, Search

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    purchased: list[tuple[int, int]] = []


_DECODE: Final = msgspec.msgpack.Decoder(_Profile).decode
_DECODE_PACKED: Final = msgspec.msgpack.Decoder(Profile).decode
_BOUGHT_2: Final = Struct("<QI")


def profile_of_version_3(body: bytes) -> Profile:
    """The profile of a row of version 3, which ends before the hours. Raises ``msgspec.DecodeError`` if it is none."""
    return _DECODE_PACKED(body)


def profile_of_version_2(body: bytes) -> Profile:
    """The profile of a row of version 2. Raises ``msgspec.DecodeError`` if it is none."""
    old = _DECODE_PACKED(body)
    whole = len(old.purchased) // _BOUGHT_2.size * _BOUGHT_2.size
    bought = _BOUGHT_2.iter_unpack(old.purchased[:whole])
    return msgspec.structs.replace(old, purchased=_bought(bought))


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
        _bought(old.purchased),
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


def _bought(rows: Iterable[tuple[int, ...]]) -> bytes:
    return BOUGHT.packed(Bought(key, time_s & MAX32, time_s & MAX32, 1) for key, time_s in rows)


PROFILES_BEFORE: Final = {
    1: profile_of_version_1,
    2: profile_of_version_2,
    3: profile_of_version_3,
}
"""By row version, what reads it."""
