"""Seeded draws: a share of the events is chosen by a hash of each event, so that a replay chooses the same ones."""

from __future__ import annotations

from typing import Final

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E37_79B9_7F4A_7C15

RESERVOIR: Final = 1_001
BEGINS: Final = 10_000
EXPLORED: Final = 2_000_000
STEPS: Final = 3_000_000
HOLDOUT: Final = 4_000_000
CONTROL: Final = 5_000_000
ARMS: Final = 6_000_000
TRIED: Final = 7_000_000
ALTERNATIVES: Final = 8_000_000
PORTRAITS: Final = 9_000_000
"""Streams of draws: moments of a visit, beginnings of predictions by predictor and seed, what is explored by seed,
what vectors are learned from, who is held back from all pushes and from a campaign's, by seed, arms, which pushes
are tried that are not worth it, which decisions log their alternatives, and whose portrait the clustering gets."""


def draw(fingerprint: int, seed: int) -> float:
    """A number in [0, 1) that an event and a seed determine.

    The fingerprint is uniform already (a BLAKE2b hash), so one odd multiplier a seed suffices (multiply-shift hashing:
    Dietzfelbinger et al., "A Reliable Randomized Algorithm for the Closest-Pair Problem", J. Algorithms 1997).
    """
    return ((fingerprint * ((seed * _GOLDEN) | 1) & _MASK) >> 11) * 2.0**-53


def mixed(fingerprint: int, stream: int) -> int:
    """64 bits that an event and a stream determine, unlike those of any other stream (SplitMix64: Steele et al., 2014).

    Where several choices hang on one event, each takes a stream of its own.
    """
    z = (fingerprint + (stream + 1) * _GOLDEN) & _MASK
    z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9 & _MASK
    z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB & _MASK
    return z ^ (z >> 31)


def share(fingerprint: int, stream: int) -> float:
    """``mixed`` as a number in [0, 1)."""
    return (mixed(fingerprint, stream) >> 11) * 2.0**-53
