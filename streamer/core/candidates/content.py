"""What is like the shopper's newest items by what is said of it: of one category and brand, of one category and price.

Nobody need have touched the two together, so it finds what is new to everybody's sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.names import Names
    from streamer.core.queries import Affinities, Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Rows = tuple[Ints, Ints, Floats]

_HALF: Final = 0.5
"""Either way of being alike gives half of the score."""


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """Of each query's strongest groups the most popular items. Score: the group's share of the newest items, times 1
    for its first item, falling evenly to 0; half of the sum over both groupings.
    """
    parts = [
        _of(asked.count, asked.lines, "line", index.lines, index, settings),
        _of(asked.count, asked.bands, "band", index.bands, index, settings),
    ]
    query, item, score = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(query, kind="stable")
    return Proposals(query.take(order), item.take(order), (score.take(order) * _HALF,))


def _of(  # noqa: PLR0917 -- once for each grouping
    queries: int, groups: Affinities, grouping: str, names: Names, index: ItemIndex, settings: RetrievalSettings
) -> Rows:
    order = np.lexsort((names.keys_of(groups.group), -groups.share, groups.query))
    query = groups.query.take(order)
    first = np.searchsorted(query, np.arange(queries))
    chosen = order[np.arange(len(order)) - first.take(query) < settings.content_groups]
    asked_for = groups.group.take(chosen).tolist()
    tops = {group: index.top_of(grouping, group)[: settings.content_items] for group in set(asked_for)}
    lists = [tops[group] for group in asked_for]
    sizes = np.array([len(top) for top in lists], np.int64)
    item = np.concatenate([*lists, np.zeros(0, np.int64)])
    kept = np.flatnonzero(index.known.take(item))
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    fall = 1.0 - (np.arange(len(item)) - start) / settings.content_items
    share = np.repeat(groups.share.take(chosen), sizes) * fall
    return np.repeat(groups.query.take(chosen), sizes).take(kept), item.take(kept), share.take(kept)
