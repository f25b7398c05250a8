"""What clusters shoppers: a clustering of River's, by its protocol, since the core may not import River.

Where its centres begin is decided here. River's k-means draws them from a normal distribution; most of them then lie
where nobody is and never move, and what a segment is hangs on the seed. So the first shoppers are waited for, and
centres are placed among them far from each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from streamer.core.events import key64
from streamer.core.sampling import mixed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray

    from streamer.core.segments.portrait import Numbers

    Ints = NDArray[np.int64]


class Clusterer(Protocol):
    """River's protocol of a clustering with centres, by cluster and feature. Features are numbered.

    Keys that are whole numbers hash alike in every process, and so does the order of River's sums of floats.
    """

    centers: MutableMapping[int, Mapping[int, float]]

    def learn_one(self, x: Mapping[int, float]) -> None:
        """Take a shopper into account."""
        ...

    def predict_one(self, x: Mapping[int, float]) -> int:
        """The cluster a shopper falls into."""
        ...


Begin: TypeAlias = "Callable[[Sequence[Sequence[float]], float], Clusterer]"
"""A clustering that goes on from centres [k][F], moving the nearest of them by a share of the way."""


def placed(shoppers: Sequence[Numbers], count: int) -> list[Numbers]:
    """``count`` of the shoppers to begin with, fewer if there are fewer different ones.

    k-means++ (Arthur, Vassilvitskii, SODA 2007): each next one is drawn with a chance that grows with the square of
    its distance to the nearest before it. Draws are hashes of the shoppers, so that the same give the same.
    """
    x = np.array(shoppers, np.int64)
    seed = key64(x.astype("<i8").tobytes().hex())
    chosen = [mixed(seed, 0) % len(x)]
    nearest = _squares(x, chosen[0])
    while len(chosen) < count and (total := int(nearest.sum())) > 0:
        at = int(np.searchsorted(nearest.cumsum(), mixed(seed, len(chosen)) % total, side="right"))
        chosen.append(at)
        nearest = np.minimum(nearest, _squares(x, at))
    return [shoppers[at] for at in chosen]


def _squares(x: Ints, at: int) -> Ints:
    squares: Ints = ((x - x[at]) ** 2).sum(axis=1)
    return squares
