"""All generators' proposals as one list of distinct candidates for each query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.candidates.registry import GENERATORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates [n], in query order, and within a query in the order they were first proposed.

    Query ``q``'s are ``offsets[q]:offsets[q + 1]``. ``item`` dense; ``own``: the row of ``Asked.recents`` that is the
    item, or -1; ``bought``: that of ``Asked.bought``; ``scores``: of each generator's columns. ``first``: the first of
    the proposals of the item, numbered through all generators, of which ``ends`` [generators] tells where each one's
    end.
    """

    offsets: NDArray[np.int64]
    query: NDArray[np.int64]
    item: NDArray[np.int64]
    first: NDArray[np.int64]
    ends: NDArray[np.int64]
    own: NDArray[np.int64]
    bought: NDArray[np.int64]
    scores: dict[str, NDArray[np.float64]]

    def generator(self, row: int) -> str:
        """The name of the generator that proposed a candidate first."""
        return GENERATORS[int(np.searchsorted(self.ends, self.first[row], side="right"))].name


def retrieve(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Pool:
    """The candidates of all queries. Neither the other queries nor dense ids show in a query's list."""
    proposals = [
        generator.nothing() if generator.name in settings.without else generator.propose(asked, index, settings)
        for generator in GENERATORS
    ]
    query = np.concatenate([p.query for p in proposals])
    item = np.concatenate([p.item for p in proposals])
    total = len(query)
    # One sort of plain integers (query, item, row) brings equal items together, earliest row first. It is several
    # times faster than sorting indices, as np.unique does.
    row_bits = max(total.bit_length(), 1)
    item_bits = max(len(index).bit_length(), 1)
    packed: NDArray[np.int64] = np.sort((((query << item_bits) | item) << row_bits) | np.arange(total))
    row = packed & ((1 << row_bits) - 1)
    code = packed >> row_bits
    new = np.empty(total, np.bool_)
    new[:1] = True
    np.not_equal(code[1:], code[:-1], out=new[1:])
    first = row[new]
    # The second sort puts the distinct ones in the order they were first proposed.
    place = np.sort((query.take(first) << row_bits) | first)
    rows = place & ((1 << row_bits) - 1)
    count = len(rows)
    position = np.empty(total, np.int64)
    position[rows] = np.arange(count)
    into = np.empty(total, np.int64)
    into[row] = position.take(first).take(np.cumsum(new) - 1)
    ends = np.cumsum([len(p.query) for p in proposals])
    codes = (place >> row_bits << item_bits) | item.take(rows)
    scores: dict[str, NDArray[np.float64]] = {}
    for generator, proposed, end in zip(GENERATORS, proposals, ends.tolist(), strict=True):
        at = into[end - len(proposed.query) : end]
        for column, score in zip(generator.columns, proposed.scores, strict=True):
            # bincount adds in the order of the rows, so that no other query shows in a sum.
            scores[column] = np.bincount(at, weights=score, minlength=count).astype(np.float64, copy=False)
    queries = place >> row_bits
    return Pool(
        offsets=np.searchsorted(queries, np.arange(asked.count + 1)),
        query=queries,
        item=item.take(rows),
        first=rows,
        ends=ends,
        own=_rows_of((asked.recents.query << item_bits) | asked.recents.item, codes),
        bought=_rows_of((asked.bought.query << item_bits) | asked.bought.item, codes),
        scores=scores,
    )


def _rows_of(mine: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place in ``mine`` of each of ``codes`` [n], -1 for none; both are queries and items."""
    order = np.argsort(mine)
    sorted_ = np.append(mine.take(order), np.int64(-1))
    at = np.searchsorted(sorted_[:-1], codes)
    return np.where(sorted_.take(at) == codes, np.append(order, np.int64(-1)).take(at), -1)
