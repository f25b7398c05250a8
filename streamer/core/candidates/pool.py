"""All generators' proposals as one list of distinct candidates for each query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.proposals import Proposals
from streamer.core.candidates.registry import GENERATORS
from streamer.core.runs import begins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Ints = NDArray[np.int64]

COLUMNS: Final = tuple(column for generator in GENERATORS for column in generator.columns)
"""Of all generators, in order."""
CAMPAIGN: Final = "campaign"
"""Who proposed what a query wants and no generator proposed."""
_NAMES: Final = (*[generator.name for generator in GENERATORS], CAMPAIGN)


@dataclass(frozen=True, slots=True)
class Pool:
    """Candidates [n], in query order, and within a query in the order they were first proposed.

    Query ``q``'s are ``offsets[q]:offsets[q + 1]``. ``item`` dense; ``own``: the row of ``Asked.recents`` that is the
    item, or -1; ``bought``: that of ``Asked.bought``; ``scores``: of each generator's columns. ``first``: the first of
    the proposals of the item, numbered through all generators and what is wanted, of which ``ends`` [generators + 1]
    tells where each one's end.
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
        """The name of the generator that proposed a candidate first, or ``CAMPAIGN``."""
        return _NAMES[int(np.searchsorted(self.ends, self.first[row], side="right"))]


def retrieve(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Pool:
    """The candidates of all queries. Neither the other queries nor dense ids show in a query's list."""
    proposals = [
        generator.nothing() if generator.name in settings.without else generator.propose(asked, index, settings)
        for generator in GENERATORS
    ]
    proposals.append(Proposals(asked.wanted.query, asked.wanted.item, ()))
    sizes = [len(p.query) for p in proposals]
    query = np.concatenate([p.query for p in proposals])
    item = np.concatenate([p.item for p in proposals])
    total = len(query)
    # One sort of plain integers (query, item, row) brings equal items together, earliest row first. It is several
    # times faster than sorting indices, as np.unique does.
    row_bits = max(total.bit_length(), 1)
    item_bits = max(len(index).bit_length(), 1)
    packed: Ints = (((query << item_bits) | item) << row_bits) | np.arange(total)
    packed.sort()
    row = packed & ((1 << row_bits) - 1)
    code = packed >> row_bits
    starts = begins(code)
    code, first = code.take(starts), row.take(starts)
    # The second sort puts the distinct ones in the order they were first proposed.
    place = (query.take(first) << row_bits) | first
    place.sort()
    rows, queries = place & ((1 << row_bits) - 1), place >> row_bits
    count = len(rows)
    position = np.empty(total, np.int64)
    position[rows] = np.arange(count)
    where = position.take(first)
    times = np.empty(count, np.int64)
    np.subtract(starts[1:], starts[:-1], out=times[:-1])
    times[-1:] = total - starts[-1:]
    into = np.empty(total, np.int64)
    into[row] = where.repeat(times)
    ends = np.cumsum(sizes)
    recents, bought = asked.recents, asked.bought
    return Pool(
        offsets=queries.searchsorted(np.arange(asked.count + 1)),
        query=queries,
        item=item.take(rows),
        first=rows,
        ends=ends,
        own=_rows_of((recents.query << item_bits) | recents.item, code, where),
        bought=_rows_of((bought.query << item_bits) | bought.item, code, where),
        scores=_scores(proposals, into, ends.tolist(), count),
    )


def _scores(proposals: list[Proposals], into: Ints, ends: list[int], count: int) -> dict[str, NDArray[np.float64]]:
    """Each column's scores added up by candidate [count]; ``into`` tells each proposal's."""
    columns = [(end - len(p.query), end, score) for p, end in zip(proposals, ends, strict=True) for score in p.scores]
    # All columns at once, one behind the other.
    at = np.concatenate([into[start:end] for start, end, _ in columns])
    at += (np.arange(len(columns)) * count).repeat([end - start for start, end, _ in columns])
    weights = np.concatenate([score for _, _, score in columns])
    # bincount adds in the order of the rows, so that no other query shows in a sum.
    summed = np.bincount(at, weights=weights, minlength=count * len(columns)).astype(np.float64, copy=False)
    return dict(zip(COLUMNS, summed.reshape(len(columns), count), strict=True))


def _rows_of(mine: Ints, codes: Ints, where: Ints) -> Ints:
    """The place in ``mine`` of each candidate, -1 for none: queries and items are in ``codes``, sorted, of candidates
    ``where``.
    """
    found = np.full(len(where), -1, np.int64)
    if len(mine) and len(codes):
        at = codes.searchsorted(mine)
        rows = (codes.take(at, mode="clip") == mine).nonzero()[0]
        found[where.take(at.take(rows))] = rows
    return found
