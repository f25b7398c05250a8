"""Sums that fade with time, kept as integers.

A contribution made at time t is worth ``2 ** (-(now - t) / half_life)`` at ``now``. Instead of fading every sum as
time goes on, a contribution *grows* with its own time from a landmark on (forward decay: Cormode, Shkapenyuk,
Srivastava, Xu, "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE 2009), and the fading is one
division when the sum is read. The grown amounts are integers, so sums commute exactly: neither the order of
contributions nor how they were grouped on the way can be seen in the result.

Growth is bounded by eras of 24 half-lives: amounts are counted from the start of their era. A sum is ``(era, current,
previous)``: the newest era it saw and the one before; what is older has faded below 2^-24 of its worth and is dropped.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from streamer.core.exactmath import exp2, log2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ERA_HALF_LIVES: Final = 24
FRACTION_BITS: Final = 10
"""One unit contributed at the start of an era is the amount ``2 ** FRACTION_BITS``."""

NOTHING: Final = float("-inf")
"""The level of a sum that holds nothing."""

Sum = tuple[int, int, int]
"""(era, current, previous)."""

EMPTY: Final[Sum] = (0, 0, 0)

_ONE: Final = 1 << FRACTION_BITS
_FADED: Final = 2.0**-ERA_HALF_LIVES
_CONTEXT: Final = Context(prec=30)
_LN2: Final = _CONTEXT.ln(Decimal(2))
# 2^(i/1024) with 40 fractional bits; between entries the chord is taken, off by less than 6e-8.
_TABLE: Final = [int(_CONTEXT.exp(_LN2 * i / 1024) * (1 << 40) + Decimal("0.5")) for i in range(1025)]
_SHIFT: Final = 40 - FRACTION_BITS
_HALF: Final = 1 << (_SHIFT - 1)


def landmark(t_ms: int, half_life_ms: int) -> tuple[int, int]:
    """The era of ``t_ms`` and the amount one unit contributed then is worth, in [2^10, 2^34].

    Exact integers; within 1e-6 of the real growth, apart from rounding to an integer.
    """
    era, offset = divmod(t_ms, ERA_HALF_LIVES * half_life_ms)
    whole, rest = divmod(offset, half_life_ms)
    position = (rest << 20) // half_life_ms
    at = position >> 10
    low = _TABLE[at]
    return era, (((low + ((_TABLE[at + 1] - low) * (position & 1023) >> 10)) << whole) + _HALF) >> _SHIFT


@lru_cache(maxsize=4096)
def landmark_s(t_s: int, half_life_ms: int) -> tuple[int, int]:
    """``landmark`` of a whole second; what many events of a second share is worked out once."""
    return landmark(t_s * 1000, half_life_ms)


def add(total: Sum, era: int, amount: int) -> Sum:
    """``total`` with an amount of ``era`` in it. Commutative and associative over any set of contributions."""
    newest, current, previous = total
    if era == newest:
        return (newest, current + amount, previous)
    if era > newest:
        return (era, amount, current if era == newest + 1 else 0)
    if era == newest - 1:
        return (newest, current, previous + amount)
    return total


def merge(a: Sum, b: Sum) -> Sum:
    """The sum of both sums' contributions."""
    era, current, previous = b
    return add(add(a, era, current), era - 1, previous)


def value(total: Sum, now_ms: int, half_life_ms: int) -> float:
    """What ``total`` is worth at ``now_ms``, in the units contributed."""
    era, current, previous = total
    since = now_ms - era * ERA_HALF_LIVES * half_life_ms
    return (current + previous * _FADED) / _ONE * exp2(-(since / half_life_ms))


def level(total: Sum) -> float:
    """The base-2 logarithm of a sum's worth at time 0, so that ``worth(now) = exp2(level - now / half_life)``.

    Levels order sums of one half-life the same at any time. A sum that is not positive has ``NOTHING``.
    """
    era, current, previous = total
    amount = current + previous * _FADED
    return log2(amount) + (ERA_HALF_LIVES * era - FRACTION_BITS) if amount > 0 else NOTHING


def decay(dt_ms: int, half_life_ms: int) -> float:
    """2 ** (-dt / half_life)."""
    return exp2(-(dt_ms / half_life_ms))


def decay_array(dt_ms: NDArray[np.int64], half_life_ms: int) -> NDArray[np.float64]:
    """``decay`` of each element, with equal bits."""
    return exp2(-(dt_ms / half_life_ms))
