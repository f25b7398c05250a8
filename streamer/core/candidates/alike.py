"""New items that are most like the shoppers' newest ones, by any measure: what ``text`` and ``embedding`` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.best import best
from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Recents

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_FIXED: Final = 1 << 20
NOTHING: Final = Proposals(np.zeros(0, np.int64), np.zeros(0, np.int64), (np.zeros(0),))


def nearest(among: Callable[[Ints], Floats], recents: Recents, index: ItemIndex, views: int, count: int) -> Proposals:
    """Of the newest items and some that were never seen, those with fewer than ``views`` views: each query's ``count``
    most alike, best first, without those that the shopper touched. Score: the cosine, which is above 0.

    ``among`` gives the cosines [queries, items].
    """
    new = index.shelves.little_seen(views)
    if not len(new):
        return NOTHING
    alike = among(new)
    order = new.argsort()
    at = order.take(new.searchsorted(recents.item, sorter=order), mode="clip")
    mine = (new.take(at) == recents.item).nonzero()[0]
    alike[recents.query.take(mine), at.take(mine)] = 0.0
    amount = np.maximum(alike * _FIXED, 0.0).astype(np.int64)
    # Most rows are no one's best: those are not worth a sort.
    least = np.partition(amount, -count, axis=1)[:, -count, None] if len(new) > count else 1
    rows = (amount >= np.maximum(least, 1)).ravel().nonzero()[0]
    query, at = np.divmod(rows, len(new))
    item, score = new.take(at), amount.ravel().take(rows)
    chosen = best(query, score, index.keys.take(item), count)
    return Proposals(query.take(chosen), item.take(chosen), (score.take(chosen) / _FIXED,))
