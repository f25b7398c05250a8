"""A blend fixed by hand: what a strong team would pick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.evaluation.baselines.base import best, summed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.evaluation.baselines.base import Scores, Scoring, Shopper


class Blend:
    """Co-visitation + V-SKNN + half of repeat, each as a share of its highest score for this shopper."""

    name = "blend"

    def __init__(self, parts: Sequence[tuple[float, Scoring]]) -> None:
        """``parts``: weights, and baselines that somebody else teaches."""
        self._parts = tuple(parts)

    def scores(self, shopper: Shopper) -> Scores:
        """As ``Scoring.scores``."""
        items, shares = [np.zeros(0, np.int64)], [np.zeros(0)]
        for weight, part in self._parts:
            named, scores = part.scores(shopper)
            if len(named):
                items.append(named)
                shares.append(scores * (weight / scores.max()))
        return summed(np.concatenate(items), np.concatenate(shares))

    def rank(self, shopper: Shopper, count: int) -> list[int]:
        """As ``Baseline.rank``."""
        return best(self.scores(shopper), count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:
        """Nothing to learn: the parts do."""
