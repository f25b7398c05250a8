"""The stable hashes by which shoppers and events are drawn, written down a second time.

A name is 64 bits, its BLAKE2b hash, the first byte the lowest. Who is drawn from a stream is told by SplitMix64
(Steele et al., 2014) of the name's bits and the stream's number, whose upper 53 bits are a number from 0 to 1: drawn
is who is below the share. Holdout, control groups, arms and what is tried have a stream each.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.governance.rules import Experiment

_64_BITS: Final = (1 << 64) - 1
_STEP: Final = 0x9E3779B97F4A7C15
_HOLDOUT: Final = 4_000_000
_CONTROL: Final = 5_000_000
_ARMS: Final = 6_000_000
_TRIED: Final = 7_000_000


def named(text: str) -> int:
    """The 64 bits of a name."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def fraction(bits: int, stream: int) -> float:
    """From 0 to 1, what is drawn for these bits from a stream."""
    state = (bits + _STEP * (stream + 1)) & _64_BITS
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _64_BITS
    state ^= state >> 31
    return (state >> 11) / (1 << 53)


def is_held_out(user: str, share: float, seed: int) -> bool:
    """Whether a shopper is of the share that is pushed nothing."""
    return fraction(named(user), _HOLDOUT + seed) < share


def is_control(user: str, campaign: str, share: float, seed: int) -> bool:
    """Whether a shopper is of the share that a campaign leaves alone."""
    return fraction(named(user) ^ named(campaign), _CONTROL + seed) < share


def arm_of(user: str, experiment: Experiment) -> str:
    """The arm a shopper is in: that in which the number drawn lies, the arms lying side by side."""
    drawn, end = fraction(named(f"{experiment.salt}\n{experiment.name}\n{user}"), _ARMS), 0.0
    for arm, share in experiment.arms.items():
        end += share
        if drawn < end:
            return arm
    return arm


def is_tried(event: int, campaign: str, share: float, seed: int) -> bool:
    """Whether what an event asks of a campaign is sent though it is not worth it."""
    return fraction(event ^ named(campaign), _TRIED + seed) < share


def is_sampled(event: int, share: float, seed: int) -> bool:
    """Whether an event is one of the share that may lead to a push: by its product with an odd number."""
    odd = _STEP * (2 * seed + 1) | 1
    return ((event * odd & _64_BITS) >> 11) / (1 << 53) < share
