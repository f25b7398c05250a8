"""The arms of an experiment, from their file; and the volume at which they are compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SHIPPED: Final = Path(__file__).with_name("arms.toml")
ALIKE: Final = 0.05
"""Volumes that differ by no more than this share are taken to be equal."""


class Arm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One arm. ``set``: settings; ``volume_by``: the setting, a least score, that its volume is brought to the first
    arm's with; ``broadcast``: no engine, the most popular item to everyone.
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
    volume: float, pushes: Callable[[float], Awaitable[float]], *, tries: int = 5, low: float = 0.0, high: float = 1.0
) -> tuple[float, float]:
    """The least score in [``low``, ``high``] at which ``pushes`` comes nearest to ``volume``, and what it comes to.

    ``pushes`` does not rise with the score. Asks ``tries`` times at most: of the lowest score first, since below that
    nothing can be gained, then in the middle of what is left, by the square root, as scores are small.
    """
    best = low, await pushes(low)
    if best[1] <= volume:
        return best
    for _ in range(tries - 1):
        if abs(best[1] - volume) <= ALIKE * volume:
            break
        middle = ((low**0.5 + high**0.5) / 2) ** 2
        found = await pushes(middle)
        if abs(found - volume) < abs(best[1] - volume):
            best = middle, found
        low, high = (middle, high) if found > volume else (low, middle)
    return best
