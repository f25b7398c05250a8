"""The arms of an experiment, from their file; and the volume at which they are compared."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SHIPPED: Final = Path(__file__).with_name("arms.toml")
ALIKE: Final = 0.05
"""Volumes that differ by no more than this share are taken to be equal."""
NOT_AT_AN_END: Final = 0.1
"""The next score to ask of is at least this share of what is left away from either end, so that each asked tells."""


class Arm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One arm. ``set``: settings; ``volume_by``: the setting, a least score, that its volume is brought to the first
    arm's with, seed by seed; ``broadcast``: no engine, the most popular item to everyone.
    """

    says: str
    set: tuple[str, ...] = ()
    volume_by: str = ""
    broadcast: bool = False


class Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of all arms."""

    set: tuple[str, ...] = ()


class Arms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. The first of ``arms`` is compared with the others."""

    arms: dict[str, Arm]
    common: Common = Common()

    @property
    def first(self) -> str:
        """The name of the arm that the others are compared with."""
        return next(iter(self.arms))


def read(path: Path = SHIPPED) -> Arms:
    """Raises ``ValueError`` with what is wrong."""
    arms = msgspec.toml.decode(path.read_bytes(), type=Arms)
    if len(arms.arms) < 2:
        raise ValueError(f"{path}: there is nothing to compare with fewer than two arms")
    first = arms.arms[arms.first]
    if first.broadcast or first.volume_by:
        raise ValueError(f"{path}: the first arm sets the volume, so it can neither follow nor be a broadcast")
    return arms


async def matched(
    volume: float, pushes: Callable[[float], Awaitable[float]], *, tries: int = 5, begin: float = 0.0
) -> tuple[float, float]:
    """The least score in [0, 1] at which ``pushes`` comes nearest to ``volume``, and what it comes to.

    ``pushes`` does not rise with the score, and is 0 at 1. Asks ``tries`` times at most, of ``begin`` first; then by
    false position in the square root of the score, as scores are small.
    """
    low, high = (0.0, math.inf), (1.0, 0.0)
    score, best = begin, (begin, math.inf)
    for _ in range(tries):
        found = await pushes(score)
        if abs(found - volume) < abs(best[1] - volume):
            best = score, found
        # Below the lowest score nothing can be gained.
        if abs(found - volume) <= ALIKE * volume or (score == 0 and found <= volume):
            break
        low, high = ((score, found), high) if found > volume else (low, (score, found))
        score = _between(low, high, volume)
    return best


def _between(low: tuple[float, float], high: tuple[float, float], volume: float) -> float:
    """Where a straight line from one (root of the score, pushes) to the other passes ``volume``, but not at an end."""
    share = (low[1] - volume) / (low[1] - high[1]) if math.isfinite(low[1]) else 0.5
    share = min(max(share, NOT_AT_AN_END), 1 - NOT_AT_AN_END)
    root = math.sqrt(low[0]) * (1 - share) + math.sqrt(high[0]) * share
    return round(root * root, 6)
