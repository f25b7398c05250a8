"""Whether those who are compared have rounds of alike shoppers.

Groups are drawn by shopper: who is held back, which arm. At the start they are alike; but whoever is pushed may react
to it, and then comes to fewer decisions (a dismissal makes gaps longer, an opt-out ends all) or to more. Rounds of the
one group are then of other shoppers than those of the other, though each shopper was drawn fairly, and what differs
between the rounds is no longer what the push did. It shows in the number of rounds a shopper has, which would be alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_BEYOND: Final = 3.0
"""So many standard errors are more than chance."""


def uneven(users: Ints, sides: Ints, names: Sequence[str], of: NDArray[np.str_] | None = None) -> str:
    """What to say if shoppers of one side have more rounds than those of another, "" if they have alike many.

    ``users`` [n]; ``sides`` [n]: the side of its shopper that a round shows, by place in ``names``, -1 if it shows
    none; ``of`` [n]: the campaign, as each draws for itself. Counted is by shopper and campaign, all rounds, where any
    shows the side; tested is whether being on a side goes with the count, by shopper.
    """
    pairs, at = _pairs(users, of)
    side = np.full(len(pairs), -1)
    np.maximum.at(side, at, sides)
    shown = side >= 0
    counts, side, pairs = np.bincount(at)[shown], side[shown], pairs[shown]
    apart = [_apart(counts, side == place, pairs) for place in range(len(names))]
    if not apart or max(map(abs, apart)) <= _BEYOND:
        return ""
    means = [counts[side == place].mean() if (side == place).any() else 0.0 for place in range(len(names))]
    listed = ", ".join(f"{mean:.1f} rounds a shopper {name}" for name, mean in zip(names, means, strict=True))
    return (
        f"there are {listed}, {max(map(abs, apart)):.0f} standard errors apart: shoppers who react to pushes come to "
        "more or fewer decisions, so that the rounds compared are not of alike shoppers; --weigh users counts each "
        "shopper once"
    )


def _pairs(users: Ints, of: NDArray[np.str_] | None) -> tuple[Ints, Ints]:
    """(user, campaign) of each that occurs, [m, 2], and [n] the place of each round."""
    campaign = np.zeros(len(users), np.int64) if of is None else np.unique(of, return_inverse=True)[1].reshape(-1)
    pairs, at = np.unique(np.column_stack([users, campaign]), axis=0, return_inverse=True)
    return pairs, at.reshape(-1)


def _apart(counts: Ints, inside: NDArray[np.bool_], pairs: Ints) -> float:
    """By how many standard errors being inside goes with a greater count, within campaigns; 0 if nobody is, or all."""
    product = _centred(inside.astype(np.float64), pairs[:, 1]) * _centred(counts.astype(np.float64), pairs[:, 1])
    by_user = np.bincount(pairs[:, 0], product)
    error = float(np.sqrt((by_user**2).sum()))
    return float(by_user.sum()) / error if error > 0 else 0.0


def _centred(values: Floats, campaign: Ints) -> Floats:
    mean = np.bincount(campaign, values) / np.maximum(np.bincount(campaign), 1)
    found: Floats = values - mean[campaign]
    return found
