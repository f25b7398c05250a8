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
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Kind = Literal["bootstrap", "percentile", "normal"]
KINDS: Final[tuple[Kind, ...]] = ("bootstrap", "percentile", "normal")


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
    found, errors = _estimates(sums, np.ones((1, len(sums))))
    tails = np.array([0.5 * (1 - level), 0.5 * (1 + level)])
    if kind == "normal":
        width = NormalDist().inv_cdf(0.5 + level / 2)
        return np.stack([found[0] - width * errors[0], found[0] + width * errors[0]]).swapaxes(0, 1)
    random = np.random.Generator(np.random.PCG64(seed))
    drawn, spread = _estimates(sums, _draws(random, len(sums), replicates))
    if kind == "percentile":
        return _percentiles(drawn, tails)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(spread > 0, (drawn - found) / spread, np.nan)
    low, high = _percentiles(apart, tails).swapaxes(0, 1)
    ends: Floats = np.stack([found[0] - high * errors[0], found[0] - low * errors[0]]).swapaxes(0, 1)
    return np.where(errors[0][:, None, :] > 0, ends, found[0][:, None, :])


def _draws(random: np.random.Generator, users: int, replicates: int) -> Floats:
    """[replicates, users]: how often each user is drawn."""
    times = [np.bincount(random.integers(0, users, users), minlength=users) for _ in range(replicates)]
    return np.stack(times).astype(np.float64)


def _estimates(sums: Floats, times: Floats) -> tuple[Floats, Floats]:
    """[draws, 2, estimates]: the values and how far they lie above the last, and the standard errors of both.

    ``sums`` [users, columns], ``times`` [draws, users]. The error is that of the delta method, clustered by user: with
    g the slopes of an estimate by the sums, the square of it is g' C g, with C the users' second moments.
    """
    users, columns = sums.shape
    moments = (sums[:, :, None] * sums[:, None, :]).reshape(users, columns * columns)
    of_sums = times @ sums
    of_moments = (times @ moments).reshape(len(times), columns, columns)
    found, slope = values(of_sums), slopes(of_sums)
    both = np.stack([found, found - found[:, -1:]], axis=1)
    slope = np.stack([slope, slope - slope[:, -1:]], axis=1)
    variance = np.einsum("dkec,dcf,dkef->dke", slope, of_moments, slope, optimize=True)
    return both, np.sqrt(np.maximum(variance, 0.0) * users / max(users - 1, 1))


def _percentiles(drawn: Floats, tails: Floats) -> Floats:
    """[2, 2, estimates] of [draws, 2, estimates]. A draw may miss every weight, and has no estimate then."""
    out = np.full((2, *drawn.shape[1:]), np.nan)
    for at in np.ndindex(*drawn.shape[1:]):
        column = drawn[(slice(None), *at)]
        there = column[~np.isnan(column)]
        if len(there):
            out[(slice(None), *at)] = np.quantile(there, tails)
    return out.swapaxes(0, 1)
