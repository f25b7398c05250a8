"""ADWIN: a window over a stream of numbers that grows while they stay alike and is cut where they changed.

Bifet, Gavaldà, "Learning from time-changing data with adaptive windowing" (SDM 2007). The window is an exponential
histogram: at most five buckets of each power of two, so that n numbers take some 5 log2 n buckets. It is looked at
after each 32 numbers, and cut between two buckets where the means before and after differ by more than chance gives.
"""

from __future__ import annotations

from math import isfinite, sqrt
from typing import Final

from streamer.core.exactmath import LOG2_E, log2

_A_SIZE: Final = 5
_EVERY: Final = 32
_LEAST: Final = 5
"""Either side of a cut has at least so many numbers."""
_LONGEST: Final = 1 << 20

Bucket = tuple[int, float, float]
"""How many numbers, their sum, and the sum of squared distances from their mean."""


def _joined(one: Bucket, other: Bucket) -> Bucket:
    n, m = one[0], other[0]
    apart = one[1] / n - other[1] / m
    return n + m, one[1] + other[1], one[2] + other[2] + apart * apart * n * m / (n + m)


class Adwin:
    """Numbers in [0, 1]. ``delta``: the chance that a cut is by chance, of each look."""

    def __init__(self, delta: float = 0.002, buckets: list[Bucket] | None = None, seen: int = 0) -> None:
        """``buckets`` and ``seen`` go on from those of another."""
        self.delta = delta
        self.buckets: list[Bucket] = buckets or []
        """The oldest first."""
        self.seen = seen

    def sound(self) -> bool:
        """Whether these are buckets of numbers in [0, 1]."""
        return all(
            0 < n <= _LONGEST and 0.0 <= total <= n and isfinite(spread) and spread >= 0.0
            for n, total, spread in self.buckets
        )

    def add(self, value: float) -> float:
        """Take one number, cut into [0, 1]. By how much the mean rose (below 0: fell) if it changed, else 0."""
        self.buckets.append((1, min(1.0, max(0.0, value)), 0.0))
        self._merge()
        self.seen += 1
        return self._look() if self.seen % _EVERY == 0 else 0.0

    def _merge(self) -> None:
        """Where there are more than five of a size, make one of the two oldest."""
        buckets, size, end = self.buckets, 1, len(self.buckets)
        while True:
            start = end
            while start > 0 and buckets[start - 1][0] == size:
                start -= 1
            if end - start <= _A_SIZE:
                break
            buckets[start : start + 2] = [_joined(buckets[start], buckets[start + 1])]
            end, size = start + 1, size * 2
        if buckets[0][0] > _LONGEST // 8:
            del buckets[0]

    def _look(self) -> float:
        rose = 0.0
        while True:
            cut = self._cut()
            if cut is None:
                return rose
            at, by = cut
            rose += by
            del self.buckets[:at]

    def _cut(self) -> tuple[int, float] | None:
        """Before which bucket the newest part begins that differs, and by how much its mean is higher."""
        if len(self.buckets) < 2:
            return None
        whole = self.buckets[0]
        for bucket in self.buckets[1:]:
            whole = _joined(whole, bucket)
        n, total, spread = whole
        variance = spread / n
        level = log2(2.0 * max(log2(n) / LOG2_E, 1.0) / self.delta) / LOG2_E
        old, old_total = 0, 0.0
        for at, bucket in enumerate(self.buckets[:-1], 1):
            old, old_total = old + bucket[0], old_total + bucket[1]
            new = n - old
            if old < _LEAST or new < _LEAST:
                continue
            by = (total - old_total) / new - old_total / old
            shares = 1.0 / old + 1.0 / new
            if abs(by) > sqrt(2.0 * shares * variance * level) + 2.0 / 3.0 * shares * level:
                return at, by
        return None
