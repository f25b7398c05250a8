"""Stages ③ and ④: candidates for a batch of queries, scored and put in order.

    queries ─▶ generators ─▶ pool ─▶ features ─▶ model ─▶ ranked

Everything is done for all queries at once, and nothing of a query's list depends on the other queries: ranked together
or one by one, the bits are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.core import features
from streamer.core.candidates import pool as pools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from streamer.core.candidates.pool import Pool
    from streamer.core.index import ItemIndex
    from streamer.core.models.model import Model
    from streamer.core.queries import Asked, Queries
    from streamer.core.retrieval_settings import RetrievalSettings

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The candidates of a batch of queries, before any model has seen them."""

    queries: Queries
    asked: Asked
    pool: Pool


@dataclass(frozen=True, slots=True)
class Ranked:
    """Scored candidates: rows ``offsets[q]:offsets[q + 1]`` are query ``q``'s, in the order they were proposed.

    ``items`` [n] dense ids and ``keys`` [n] their keys, ``x`` [F, n] features, ``p`` [n] probabilities on the grid of
    2^-20. ``pool`` and ``asked`` are what they were made from. ``model_version`` is of the model that scored.
    """

    offsets: NDArray[np.int64]
    items: NDArray[np.int64]
    keys: NDArray[np.uint64]
    x: Floats
    p: Floats
    pool: Pool
    asked: Asked
    model_version: int

    def rows(self, query: int) -> slice:
        """The rows of a query."""
        return slice(int(self.offsets[query]), int(self.offsets[query + 1]))

    def generator(self, row: int) -> str:
        """The name of the generator that proposed a row first."""
        return self.pool.generator(row)


def retrieve(queries: Queries, index: ItemIndex, settings: RetrievalSettings) -> Retrieved:
    """Stage ③: what might suit, from all generators."""
    asked = queries.asked(index)
    return Retrieved(queries, asked, pools.retrieve(asked, index, settings))


def rank(
    retrieved: Retrieved, index: ItemIndex, model: Model, challengers: Mapping[str, Model] | None = None
) -> Ranked:
    """Stage ④: how likely each candidate is to be taken up. Models are only read.

    ``challengers``: by kind, who ranks the queries that ask for it, in the place of ``model``.
    """
    pool, asked = retrieved.pool, retrieved.asked
    x = features.compute(pool, asked, index, retrieved.queries.settings)
    p = model.predict_many(x)
    for kind, queries in retrieved.queries.ranked_by().items():
        if challengers and kind in challengers:
            rows = np.isin(pool.query, queries).nonzero()[0]
            p[rows] = challengers[kind].predict_many(x.take(rows, axis=1))
    return Ranked(pool.offsets, pool.item, index.keys.take(pool.item), x, p, pool, asked, model.version)


def rank_queries(queries: Queries, index: ItemIndex, model: Model) -> Ranked:
    """Both stages."""
    return rank(retrieve(queries, index, queries.settings), index, model)


def top(ranked: Ranked, query: int, count: int) -> NDArray[np.int64]:
    """The rows of a query's best candidates, best first, ties to the smaller item key; at most ``count``."""
    rows = ranked.rows(query)
    order = np.lexsort((ranked.keys[rows], -ranked.p[rows]))[:count]
    best: NDArray[np.int64] = order + rows.start
    return best


def discover(ranked: Ranked, query: int, count: int) -> NDArray[np.int64]:
    """As ``top``, of candidates that the shopper neither touched nor bought before, as far as the profile remembers."""
    rows = ranked.rows(query)
    new = ((ranked.pool.own[rows] < 0) & (ranked.pool.bought[rows] < 0)).nonzero()[0] + rows.start
    best: NDArray[np.int64] = new.take(np.lexsort((ranked.keys.take(new), -ranked.p.take(new)))[:count])
    return best


def contributions(ranked: Ranked, row: int, model: Model) -> list[tuple[str, float]]:
    """What each feature adds to a row's log-odds, the greatest first, ties in the order of ``FEATURES``."""
    parts = model.contributions(ranked.x[:, row]).tolist()
    named = [(feature.name, part) for feature, part in zip(features.FEATURES, parts, strict=True)]
    return sorted(named, key=lambda entry: -entry[1])
