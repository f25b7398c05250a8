"""How sure an estimate is.

``bootstrap``: users are drawn anew, with all their rounds, and of each draw it is seen how many of its own standard
errors the estimate lies off; so far the truth may lie off the log's estimate, on the other side (the bootstrap-t, of
clusters: Davison, Hinkley, "Bootstrap methods and their application", 1997, sections 3.8 and 5.2). Rewards are skewed:
a log that has few of the large ones has a low estimate and a small error, and this alone takes that into account.
``percentile``: of the estimates of the draws. ``normal``: the estimate and its standard error, from the spread of what
each user moves it by (the delta method, clustered by user). All take the log's users for a draw of all users; none
knows of a bias. The reward model is fitted once, not for every draw.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from streamer.ope.estimators import slopes, values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Kind = Literal["bootstrap", "percentile", "normal"]
KINDS: Final[tuple[Kind, ...]] = ("bootstrap", "percentile", "normal")

_BYTES: Final = 32 << 20
"""As much as the draws that are summed together may take."""
_ROUNDING: Final = 1e-9
_USERS: Final = 1 << 13
"""As many users are summed together."""


def by_user(rows: Floats, users: Ints) -> Floats:
    """Sums [users, columns] of rows [n, columns]."""
    count = int(users.max()) + 1
    return np.column_stack([np.bincount(users, column, count) for column in rows.T])


def intervals(rows: Floats, users: Ints, kind: Kind, *, level: float, replicates: int, seed: int) -> Floats:
    """[2, 2, estimates]: low and high of each of ``values``, and of how far it lies above the last, what was logged.

    ``rows`` [n, columns] as ``estimators.columns`` has them. The difference is paired: both are of the same users.
    """
    sums = by_user(rows, users)
    # A count of users as they are, [1, users], and of each draw.
    found, errors = _estimates(sums, [np.ones((1, len(sums)))])
    tails = np.array([0.5 * (1 - level), 0.5 * (1 + level)])
    if kind == "normal":
        width = NormalDist().inv_cdf(0.5 + level / 2)
        return np.stack([found[0] - width * errors[0], found[0] + width * errors[0]]).swapaxes(0, 1)
    random = np.random.Generator(np.random.PCG64(seed))
    drawn, spread = _estimates(sums, _draws(random, len(sums), replicates))
    if kind == "percentile":
        return _percentiles(drawn, tails)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Of a draw in which nobody differs the spread is nothing but what rounding leaves of it.
        apart = np.where(spread > _ROUNDING * errors, (drawn - found) / spread, np.nan)
    low, high = _percentiles(apart, tails).swapaxes(0, 1)
    ends: Floats = np.stack([found[0] - high * errors[0], found[0] - low * errors[0]]).swapaxes(0, 1)
    return np.where(errors[0][:, None, :] > 0, ends, found[0][:, None, :])


def _draws(random: np.random.Generator, users: int, replicates: int) -> Iterator[Floats]:
    """[draws, users] each: how often each user is drawn; as many draws at once as fit, ``replicates`` in all."""
    at_once = max(1, _BYTES // (8 * users))
    for begin in range(0, replicates, at_once):
        count = min(at_once, replicates - begin)
        times = np.empty((count, users))
        for row in times:
            row[:] = np.bincount(random.integers(0, users, users), minlength=users)
        yield times


def _estimates(sums: Floats, draws: Iterable[Floats]) -> tuple[Floats, Floats]:
    """[draws, 2, estimates]: the values and how far they lie above the last, and the standard errors of both.

    ``sums`` [users, columns], ``draws`` some [draws, users] each. The error is that of the delta method, clustered by
    user: with g the slopes of an estimate by the sums, the square of it is g' C g, with C the users' second moments.
    """
    users, columns = sums.shape
    one, other = np.triu_indices(columns)
    totals = np.concatenate([_totals(sums, times, one, other) for times in draws])
    of_sums = totals[:, :columns]
    of_moments = np.empty((len(totals), columns, columns))
    of_moments[:, one, other] = of_moments[:, other, one] = totals[:, columns:]
    found, slope = values(of_sums), slopes(of_sums)
    both = np.stack([found, found - found[:, -1:]], axis=1)
    slope = np.stack([slope, slope - slope[:, -1:]], axis=1)
    variance = np.einsum("dkec,dcf,dkef->dke", slope, of_moments, slope, optimize=True)
    return both, np.sqrt(np.maximum(variance, 0.0) * users / max(users - 1, 1))


def _totals(sums: Floats, times: Floats, one: Ints, other: Ints) -> Floats:
    """[draws, columns and pairs of them]: sums and second moments over the users, each so many ``times``.

    By einsum, which adds up a draw the same way whatever the others are; the BLAS does not, and how many draws fit in
    memory would show in the last bits.
    """
    found = np.zeros((len(times), sums.shape[1] + len(one)))
    for begin in range(0, len(sums), _USERS):
        part = sums[begin : begin + _USERS]
        both = np.column_stack([part, part[:, one] * part[:, other]])
        found += np.einsum("du,uc->dc", times[:, begin : begin + _USERS], both)
    return found


def _percentiles(drawn: Floats, tails: Floats) -> Floats:
    """[2, 2, estimates] of [draws, 2, estimates]. A draw may miss every weight, and has no estimate then."""
    out = np.full((2, *drawn.shape[1:]), np.nan)
    for at in np.ndindex(*drawn.shape[1:]):
        column = drawn[(slice(None), *at)]
        there = column[~np.isnan(column)]
        if len(there):
            out[(slice(None), *at)] = np.quantile(there, tails)
    return out.swapaxes(0, 1)
