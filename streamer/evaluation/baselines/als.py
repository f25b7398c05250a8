"""Matrix factorization by alternating least squares, refitted now and then: the nightly job, several times a night.

Hu, Koren, Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008, by the package ``implicit``
(an optional extra: ``pip install streamer[als]``). It is fitted anew on everything seen whenever the stream has grown
by a tenth; in between its item vectors stand still, while the shopper's vector is solved for, at each list, from
their history as it is.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.evaluation.baselines.base import best

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.evaluation.baselines.base import Scores, Shopper

FACTORS: Final = 64
ITERATIONS: Final = 10
REGULARIZATION: Final = 0.05
CONFIDENCE: Final = 20.0
"""How much more an item that was seen counts than one that was not: alpha."""
_GROWTH: Final = 1.1
_LEAST_LINES: Final = 2000


def available() -> bool:
    """Whether the package is installed."""
    return find_spec("implicit") is not None


class Als:
    """Items whose vectors are nearest to the shopper's, which is solved for from what they had."""

    name = "als"

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], int] = {}
        self._lines = self._next = 0
        self._next = _LEAST_LINES
        self._vectors: NDArray[np.float64] = np.zeros((0, FACTORS))
        self._gram: NDArray[np.float64] = np.zeros((FACTORS, FACTORS))
        self.fits = 0

    def scores(self, shopper: Shopper) -> Scores:
        """As ``Scoring.scores``; only items of the last fit have one, and none is below 0."""
        known = len(self._vectors)
        own = [(item, count) for item, count in shopper.history.items() if item < known]
        if not own:
            return np.zeros(0, np.int64), np.zeros(0)
        vectors = self._vectors[[item for item, _ in own]]
        trust = CONFIDENCE * np.array([count for _, count in own], np.float64)
        # The user's half of a sweep, in closed form: (Y'Y + Y'(C - 1)Y + r)x = Y'Cp, with C = alpha * counts.
        user = np.linalg.solve(self._gram + (vectors.T * (trust - 1.0)) @ vectors, vectors.T @ trust)
        return np.arange(known), np.maximum(self._vectors @ user, 0.0)

    def rank(self, shopper: Shopper, count: int) -> list[int]:
        """As ``Baseline.rank``."""
        return best(self.scores(shopper), count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:
        """As ``Baseline.see``; fits, if it is time."""
        for item in items:
            pair = (shopper.number, item)
            self._counts[pair] = self._counts.get(pair, 0) + 1
        self._lines += len(items)
        if self._lines >= self._next:
            self._next = int(self._lines * _GROWTH)
            self._fit()

    def _fit(self) -> None:
        from implicit.als import AlternatingLeastSquares
        from scipy.sparse import csr_matrix
        from threadpoolctl import threadpool_limits

        rows = np.array(list(self._counts), np.int64)
        values = np.fromiter(self._counts.values(), np.float32, len(self._counts))
        matrix: Any = csr_matrix((values, (rows[:, 0], rows[:, 1])))
        with threadpool_limits(1, "blas"):  # many small products: threads of BLAS would only wait for each other
            model = AlternatingLeastSquares(
                FACTORS,
                regularization=REGULARIZATION,
                alpha=CONFIDENCE,
                iterations=ITERATIONS,
                num_threads=1,
                random_state=1,
            )
            model.fit(matrix, show_progress=False)
        self._vectors = np.asarray(model.item_factors, np.float64)
        self._gram = self._vectors.T @ self._vectors + REGULARIZATION * np.eye(FACTORS)
        self.fits += 1
