"""Seeded draws: a share of the events is chosen by a hash of each event, so that a replay chooses the same ones."""

from __future__ import annotations

from typing import Final

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15


def draw(fingerprint: int, seed: int) -> float:
    """A number in [0, 1) that an event and a seed determine (SplitMix64: Steele, Lea, Flood, OOPSLA 2014)."""
    z = (fingerprint + (seed + 1) * _GOLDEN) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53
