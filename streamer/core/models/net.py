"""The shape of the listwise net and how it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.models.model import Floats

WIDE, NARROW = 32, 16
"""Sizes of the two hidden layers."""
_DRAWN_TOGETHER: Final = 58
"""So many features draw the first layer's weights together. Those that came later draw for themselves, so that a net
that is told one more feature, always 0, begins and learns as before: a list of features grows without a new throw of
the dice for all that were there.
"""
_LATER: Final = 1 << 20
_WEIGHT_DECIMALS: Final = 53


def parameters(features: int) -> int:
    """How many numbers a net over so many features has, slope and levels among them and the bias not."""
    return features + WIDE * features + WIDE + NARROW * WIDE + NARROW + NARROW + 1 + features


def beginning(priors: Sequence[float]) -> Floats:
    """Parameters [parameters(F)] of an untaught net: the priors, layers always drawn alike, a last layer of 0."""
    f = len(priors)
    theta = np.zeros(parameters(f))
    theta[:f] = priors
    first = min(f, _DRAWN_TOGETHER)
    wide = theta[f : f + WIDE * f].reshape(WIDE, f)
    wide[:, :first] = _drawn(WIDE * first, first, first).reshape(WIDE, first)
    for feature in range(first, f):
        wide[:, feature] = _drawn(WIDE, first, _LATER * feature)
    at = f + WIDE * f + WIDE
    theta[at : at + NARROW * WIDE] = _drawn(NARROW * WIDE, WIDE, first + WIDE * first + WIDE)
    theta[-1 - f] = 1.0
    return theta


def _drawn(count: int, inputs: int, seed: int) -> Floats:
    """He's uniform initialisation (ICCV 2015)."""
    drawn: Floats = (2.0 * _uniform(count, seed) - 1.0) * np.sqrt(6.0 / inputs)
    return drawn


def _uniform(count: int, seed: int) -> Floats:
    """``count`` numbers in [0, 1) of SplitMix64 (Steele et al., OOPSLA 2014): the same in every version of numpy."""
    z: NDArray[np.uint64] = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(
        0x9E37_79B9_7F4A_7C15
    )
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(64 - _WEIGHT_DECIMALS)).astype(np.float64) / float(1 << _WEIGHT_DECIMALS)
