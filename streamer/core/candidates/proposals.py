"""What a generator hands in: items for queries, with what it has to say of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


@dataclass(frozen=True, slots=True)
class Proposals:
    """Rows [n]: an ``item`` (dense, known) for a ``query``; ``scores`` [columns, n].

    Within a query the rows are in an order that no dense id decides. An item may come more than once: its scores
    are added.
    """

    query: NDArray[np.int64]
    item: NDArray[np.int64]
    scores: tuple[NDArray[np.float64], ...]


class Propose(Protocol):
    """A generator."""

    def __call__(self, asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
        """Candidates for all queries at once; what is proposed to one must not depend on the others."""
        ...


@dataclass(frozen=True, slots=True)
class Generator:
    """A generator, and what its scores are called; the first column's name is the generator's own."""

    columns: tuple[str, ...]
    propose: Propose

    @property
    def name(self) -> str:
        """As candidates and metrics spell it."""
        return self.columns[0]

    def nothing(self) -> Proposals:
        """What it hands in when it is switched off."""
        return Proposals(_NO_ROWS, _NO_ROWS, (_NO_SCORES,) * len(self.columns))


_NO_ROWS: Final = np.zeros(0, np.int64)
_NO_SCORES: Final = np.zeros(0)
