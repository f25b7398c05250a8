"""The most popular items of the groups that a shopper is drawn to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.affinities import Affinities
    from streamer.core.index import ItemIndex

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def popular(
    index: ItemIndex, grouping: str, affinities: Affinities, groups: int, items: int
) -> tuple[Ints, Ints, Floats]:
    """Of each query's so many strongest groups so many items: queries, items, and scores.

    A score is the group's share of the shopper's interest, times 1 for its first item, falling evenly to 0.
    """
    chosen = (affinities.place < groups).nonzero()[0]
    asked_for = affinities.group.take(chosen).tolist()
    tops = {group: index.tops.of(grouping, group)[:items] for group in set(asked_for)}
    lists = [tops[group] for group in asked_for]
    sizes = np.array([len(top) for top in lists], np.int64)
    item = np.concatenate([_NO_ITEMS, *lists])
    row = chosen.repeat(sizes)
    fall = 1.0 - (np.arange(len(item)) - (sizes.cumsum() - sizes).repeat(sizes)) / items
    return affinities.query.take(row), item, affinities.share.take(row) * fall


_NO_ITEMS: Final = np.zeros(0, np.int64)
