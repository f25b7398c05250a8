"""How good the ranker's probabilities are, and what each family of candidates gave.

Prequential: every list is judged as it was scored, before anything was learned from it.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.candidates.registry import GENERATORS
from streamer.core.models.metrics import BinaryMetrics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.rank import Ranked


class RankerQuality:
    """Log loss, ROC AUC and calibration over whole pools of which something was taken up (as the model learns)."""

    def __init__(self) -> None:
        self._all = BinaryMetrics()

    def add(self, ranked: Ranked, labels: NDArray[np.bool_]) -> None:
        """One list's pool, and which rows of it were taken up."""
        if labels.any():
            self._all.update(labels.astype(np.float64), ranked.p, np.ones(len(labels)))

    def figures(self) -> dict[str, object]:
        """``logloss``, ``auc``, ``calibration_error``, ``None`` where nobody can say: all without a list that can be
        judged, and the AUC if rows never differed. ``calibration``: by bin, rows, predicted and observed share.
        """
        found = self._all
        # Most of a pool is all but hopeless; equal bins would show nothing but that, hence so many of them.
        bins = [[round(v, 6) for v in (b.weight, b.predicted, b.observed)] for b in found.calibration(40)]
        told = {
            "logloss": found.logloss(),
            "auc": found.auc(),
            "calibration_error": found.calibration_error(),
        }
        return {name: round(v, 6) if isfinite(v) else None for name, v in told.items()} | {"calibration": bins}


class Families:
    """What each generator proposed, and what came of it."""

    def __init__(self) -> None:
        self._names = [generator.name for generator in GENERATORS]
        count = len(self._names)
        self._proposed, self._listed, self._found, self._hit, self._alone = (
            np.zeros(count, np.int64) for _ in range(5)
        )
        self._lists = self._targets = self._hits = self._pool = self._reached = 0

    def add(self, ranked: Ranked, listed: NDArray[np.int64], labels: NDArray[np.bool_], targets: int) -> None:
        """One list's pool, the rows listed, which rows were taken up, and how many targets there were."""
        scores = ranked.pool.scores
        by = np.array([np.any([scores[c] != 0 for c in g.columns], axis=0) for g in GENERATORS]).reshape(
            len(GENERATORS), -1
        )
        taken = np.flatnonzero(labels)
        hits = by[:, listed[labels[listed]]]
        self._proposed += by.sum(axis=1)
        self._listed += by[:, listed].sum(axis=1)
        self._found += by[:, taken].sum(axis=1)
        self._hit += hits.sum(axis=1)
        self._alone += (hits & (hits.sum(axis=0) == 1)).sum(axis=1)
        self._lists += 1
        self._targets += targets
        self._pool += by.shape[1]
        self._reached += len(taken)
        self._hits += hits.shape[1]

    def figures(self) -> dict[str, object]:
        """``pool`` (candidates a list), ``recall`` (targets in the pool), and by family: candidates a list; the shares
        of list places it proposed, of targets it proposed, of hits it proposed, and of hits that it alone proposed.
        """
        lists, targets, hits = max(self._lists, 1), max(self._targets, 1), max(self._hits, 1)
        families = {
            name: {
                "candidates": round(float(self._proposed[at]) / lists, 3),
                "listed": round(float(self._listed[at]) / (20 * lists), 6),
                "recall": round(float(self._found[at]) / targets, 6),
                "hits": round(float(self._hit[at]) / hits, 6),
                "hits_alone": round(float(self._alone[at]) / hits, 6),
            }
            for at, name in enumerate(self._names)
        }
        return {
            "pool": round(self._pool / lists, 2),
            "recall": round(self._reached / targets, 6),
            "families": families,
        }
