"""How sure an estimate is.

``bootstrap``: users are drawn anew, with all their rounds, and the estimate made of each draw; percentiles (a cluster
bootstrap: Davison, Hinkley, "Bootstrap methods and their application", 1997, section 3.8). ``normal``: the estimate and
its standard error, from the spread of what each user moves it by (the delta method, clustered by user). Both take the
log's users for a draw of all users; neither knows of a bias. The reward model is fitted once, not for every draw.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from streamer.ope.estimators import influences, values

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Kind = Literal["bootstrap", "normal"]
KINDS: Final[tuple[Kind, ...]] = ("bootstrap", "normal")


def by_user(rows: Floats, users: Ints) -> Floats:
    """Sums [users, columns] of rows [n, columns]."""
    count = int(users.max()) + 1
    return np.column_stack([np.bincount(users, column, count) for column in rows.T])


def intervals(rows: Floats, users: Ints, kind: Kind, *, level: float, replicates: int, seed: int) -> Floats:
    """[2, 2, estimates]: low and high of each of ``values``, and of how far it lies above the last, what was logged.

    ``rows`` [n, columns] as ``estimators.columns`` has them. The difference is paired: both are of the same users.
    """
    if kind == "normal":
        return _normal(rows, users, level)
    sums = by_user(rows, users)
    drawn = np.empty((replicates, len(values(sums[0]))))
    random = np.random.Generator(np.random.PCG64(seed))
    for at in range(replicates):
        times = np.bincount(random.integers(0, len(sums), len(sums)), minlength=len(sums)).astype(np.float64)
        # Not a product of the BLAS's: its threads would wait for each other a thousand times.
        drawn[at] = values(np.einsum("u,uc->c", times, sums))
    tails = [50 * (1 - level), 100 - 50 * (1 - level)]
    return np.stack(
        [np.column_stack([_percentiles(column, tails) for column in each.T]) for each in (drawn, drawn - drawn[:, -1:])]
    )


def _percentiles(column: Floats, tails: list[float]) -> Floats:
    # A draw may miss every weight, and has no self-normalised estimate then.
    there = column[~np.isnan(column)]
    return np.percentile(there, tails) if len(there) else np.full(len(tails), np.nan)


def _normal(rows: Floats, users: Ints, level: float) -> Floats:
    found = values(rows.sum(axis=0))
    moved = influences(rows)
    width = NormalDist().inv_cdf(0.5 + level / 2)
    out = []
    for centre, each in ((found, moved), (found - found[-1], moved - moved[:, -1:])):
        sums = by_user(each, users)
        count = len(sums)
        error = np.sqrt((sums**2).sum(axis=0) * count / max(count - 1, 1)) / len(rows)
        out.append(np.stack([centre - width * error, centre + width * error]))
    return np.stack(out)
