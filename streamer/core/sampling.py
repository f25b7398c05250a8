"""Seeded draws: a share of the events is chosen by a hash of each event, so that a replay chooses the same ones."""

from __future__ import annotations

from typing import Final

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15


def draw(fingerprint: int, seed: int) -> float:
    """A number in [0, 1) that an event and a seed determine.

    The fingerprint is uniform already (a BLAKE2b hash), so one odd multiplier a seed suffices (multiply-shift hashing:
    Dietzfelbinger et al., "A Reliable Randomized Algorithm for the Closest-Pair Problem", J. Algorithms 1997).
    """
    return ((fingerprint * ((seed * _GOLDEN) | 1) & _MASK) >> 11) * 2.0**-53
