"""The shoppers' interest in groups of items, as shares: of categories and brands, and of finer groups of content."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.names import NONE
from streamer.core.packed import AFFINITY
from streamer.core.runs import begins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.profile import Profile
    from streamer.core.queries import Recents

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_WEIGHT_ONE: Final = 256.0
_NEWEST: Final = 8
_BY_STEP: Final = np.array([0.75**n for n in range(_NEWEST + 1)])


@dataclass(frozen=True, slots=True)
class Affinities:
    """Shares of the shoppers' interest: of ``group`` (an id of the index), [a], unique by (query, group).

    Rows in query order, the strongest first, ties to the smaller key of the group's name; ``place`` 0 for the first.
    """

    queries: int
    query: Ints
    group: Ints
    share: Floats
    place: Ints


FourKinds = tuple[Affinities, Affinities, Affinities, Affinities]


def affinities(
    profiles: Sequence[Profile | None], recents: Recents, untold: tuple[Ints, Ints], index: ItemIndex
) -> FourKinds:
    """Of categories and of brands, in all that the profiles hold; of lines and of bands, in the newest few items.

    ``untold`` recents, of which events did not tell the category, or the brand, add their interest to that which the
    index knows of. Of the newest items, the newer has the greater share.
    """
    queries = len(profiles)
    packed = [b"" if p is None else p.categories for p in profiles] + [b"" if p is None else p.brands for p in profiles]
    told = np.frombuffer(b"".join(packed), AFFINITY.dtype)
    sizes = [len(sums) // AFFINITY.size for sums in packed]
    keys, split = told["key"].tolist(), sum(sizes[:queries])
    newest = (recents.place < _NEWEST).nonzero()[0]
    asked_of, items = recents.query.take(newest), recents.item.take(newest)
    amount = _BY_STEP.take(np.minimum(recents.step.take(newest), _NEWEST))
    # All four at once, each over queries of its own: what a call of numpy costs is mostly the call.
    where = [np.arange(2 * queries).repeat(sizes), asked_of + 2 * queries, asked_of + 3 * queries]
    group: list[NDArray[np.int64] | NDArray[np.int32]] = [
        index.categories.ids(keys[:split]),
        index.brands.ids(keys[split:]),
        index.line.take(items),
        index.band.take(items),
    ]
    amounts = [told["weight"].astype(np.float64), amount, amount]
    for kind, (rows, group_of) in enumerate(zip(untold, (index.category, index.brand), strict=True)):
        if len(rows):
            # An item's interest may fall to a group of its own or to one that was told.
            where.append(recents.query.take(rows) + kind * queries)
            group.append(group_of.take(recents.item.take(rows)))
            amounts.append(recents.weight.take(rows) * _WEIGHT_ONE)
    return _strongest_first(
        queries, *_summed(np.concatenate(where), np.concatenate(group, dtype=np.int64), np.concatenate(amounts)), index
    )


def _summed(query: Ints, group: Ints, amount: Floats) -> tuple[Ints, Ints, Floats]:
    """The rows that count with those of the same query and group added up, in query order, each at the first's place.

    Rows are added in the order given, which within a query is that of the profile: neither ids, which are the
    replica's own, nor the other queries show.
    """
    kept = ((group != NONE) & (amount > 0.0)).nonzero()[0]
    query, group, amount = query.take(kept), group.take(kept), amount.take(kept)
    if not len(kept):
        return query, group, amount
    code = (query << int(group.max()).bit_length()) | group
    order = code.argsort(kind="stable")
    code = code.take(order)
    starts = begins(code)
    new = np.zeros(len(code), np.int64)
    new[starts] = 1
    sums: Floats = np.bincount(new.cumsum() - 1, weights=amount.take(order)).astype(np.float64, copy=False)
    first = order.take(starts)
    query = query.take(first)
    by_first = ((query << len(code).bit_length()) | first).argsort()
    return query.take(by_first), group.take(first.take(by_first)), sums.take(by_first)


def _strongest_first(queries: int, query: Ints, group: Ints, amount: Floats, index: ItemIndex) -> FourKinds:
    sizes = np.bincount(query, minlength=4 * queries)
    ends = sizes.cumsum()
    bounds = [0, *ends[queries - 1 :: queries].tolist()] if queries else [0] * 5
    share = amount / np.bincount(query, weights=amount, minlength=4 * queries).take(query)
    names = (index.categories, index.brands, index.lines, index.bands)
    parts = [slice(start, end) for start, end in pairwise(bounds)]
    keys = np.concatenate([each.keys_of(group[part]) for each, part in zip(names, parts, strict=True)])
    order = np.lexsort((keys, -share, query))
    group, share = group.take(order), share.take(order)
    place = np.arange(len(query)) - (ends - sizes).repeat(sizes)
    categories, brands, lines, bands = (
        Affinities(queries, query[part] - kind * queries, group[part], share[part], place[part])
        for kind, part in enumerate(parts)
    )
    return categories, brands, lines, bands
