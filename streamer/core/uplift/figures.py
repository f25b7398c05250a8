"""Whether the uplift foretold comes true: prequential figures of two groups that differ by chance alone.

Nobody sees what one shopper would have done otherwise, so uplift is judged of groups: responses are sorted by the
uplift that was foretold of them, and in each range the share that bought is compared between those pushed and those
held back, each weighted by one over the chance it had to be in its group (Horvitz, Thompson, JASA 47, 1952).

The Qini figure (Radcliffe, "Using control groups to target on predicted lift", 2007) is the area between two curves:
purchases gained if shoppers are pushed in the order of the uplift foretold, and in any order; in purchases a shopper.
Older responses fade, as in ``models/metrics.py``. Metrics are in no digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS: Final = 2.0 ** (np.arange(-48.0, 1.0) / 4.0)
_EDGES: Final = np.concatenate((-_STEPS[::-1], _STEPS))
"""Of uplift: four to a doubling from 1/4096 to 1, on both sides."""
BINS: Final = len(_EDGES) + 1
_TOP: Final = 0.3
_GROUPS: Final = 5
_RESCALE: Final = 1e12
_ABSURD: Final = 1e30
_COLUMNS: Final = 5
_NAN: Final = float("nan")


class FiguresState(msgspec.Struct, array_like=True):
    """The accumulators, for a table's row: float64 [5, BINS]."""

    scale: float = 1.0
    sums: bytes = b""


class Lift(NamedTuple):
    """Of a range of responses: how many (weighted), and the uplift foretold and seen."""

    weight: float
    foretold: float
    seen: float


class UpliftFigures:
    """Accumulates (uplift foretold, pushed, bought, chance) and tells how true it came."""

    def __init__(self, memory: int = 0) -> None:
        """``memory``: about how many of the newest responses count; 0 for all alike."""
        self._growth = 1.0 / (1.0 - 1.0 / memory) if memory > 1 else 1.0
        self._scale = 1.0
        # Rows: weight and purchases of those pushed, of those held back, and weighted uplift foretold.
        self._sums = np.zeros((_COLUMNS, BINS))

    def update(self, foretold: float, chance: float, *, pushed: bool, bought: bool) -> None:
        """Count a response; ``chance`` is that of being pushed."""
        self._scale *= self._growth
        share = chance if pushed else 1.0 - chance
        weight = self._scale / share
        place, group = int(np.searchsorted(_EDGES, foretold)), 0 if pushed else 2
        self._sums[group, place] += weight
        self._sums[group + 1, place] += weight * bought
        self._sums[4, place] += weight * foretold
        if self._scale > _RESCALE:
            self._sums /= self._scale
            self._scale = 1.0

    def lift(self) -> Lift:
        """Of all."""
        return _lift(self._sums.sum(axis=1), self._scale)

    def top(self, share: float = _TOP) -> Lift:
        """Of the share of the greatest uplift foretold."""
        return _lift(self._best_first(np.array([share]))[:, 0], self._scale)

    def groups(self, count: int = _GROUPS) -> list[Lift]:
        """Of ranges of falling uplift foretold, with about as many responses (weighted) in each."""
        ends = self._best_first(np.arange(count + 1.0) / count)
        return [_lift(ends[:, n + 1] - ends[:, n], self._scale) for n in range(count)]

    def error(self) -> float:
        """How far the uplift seen is from that foretold over these ranges, in the mean; NaN if one has no group."""
        found = self.groups()
        total = sum(group.weight for group in found)
        return sum(g.weight * abs(g.foretold - g.seen) for g in found) / total if total else _NAN

    def qini(self) -> float:
        """Purchases a shopper gained by the order of what was foretold, over those of any order; NaN without both."""
        shares = np.arange(1.0, BINS + 1.0) / BINS
        at = self._best_first(shares)
        gained = np.array([_lift(at[:, n], 1.0).seen for n in range(len(shares))]) * shares
        whole = gained[-1]
        if whole != whole:  # noqa: PLR0124 -- NaN
            return _NAN
        # Of the first few there may be only one of the two groups.
        return float(np.mean(np.where(np.isfinite(gained), gained, whole * shares) - whole * shares))

    def _best_first(self, shares: Floats) -> Floats:
        """The sums [5, n] over the ``shares`` [n] of the greatest uplift foretold; bins are split as if even."""
        sums = np.cumsum(self._sums[:, ::-1], axis=1)
        weights = np.concatenate(([0.0], sums[0] + sums[2]))
        wanted = shares * weights[-1]
        places = np.arange(BINS + 1.0)
        # Rising strictly, as interpolation asks for.
        at = np.interp(wanted, weights + places * 1e-12 * max(weights[-1], 1e-300), places)
        return np.stack([np.interp(at, places, np.concatenate(([0.0], row))) for row in sums])

    def figures(self) -> dict[str, float]:
        """By name."""
        whole, top = self.lift(), self.top()
        return {
            "qini": self.qini(),
            "uplift": whole.seen,
            "uplift_foretold": whole.foretold,
            "uplift_top": top.seen,
            "uplift_top_foretold": top.foretold,
            "uplift_error": self.error(),
        }

    def state(self) -> FiguresState:
        """Everything, for ``restore``."""
        return FiguresState(self._scale, self._sums.astype("<f8").tobytes())

    def restore(self, state: FiguresState) -> None:
        """Go on from what ``state`` gave; from zero if it was of other bins or is damaged."""
        if len(state.sums) != 8 * _COLUMNS * BINS:
            return
        sums: Any = np.frombuffer(state.sums, dtype="<f8").reshape(_COLUMNS, BINS)
        # So written, NaN is refused too.
        if 1.0 <= state.scale < _ABSURD and (np.abs(sums) < _ABSURD).all() and (sums[:4] >= 0).all():
            self._scale, self._sums = state.scale, sums.copy()


def _lift(sums: Floats, scale: float) -> Lift:
    pushed, bought, held, anyway, foretold = sums.tolist()
    weight = pushed + held
    seen = bought / pushed - anyway / held if pushed > 0 and held > 0 else _NAN
    return Lift(weight / scale, foretold / weight if weight > 0 else _NAN, seen)
