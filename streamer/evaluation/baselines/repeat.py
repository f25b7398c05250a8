"""What the shopper had before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.evaluation.baselines.base import best

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.evaluation.baselines.base import Scores, Shopper


class Repeat:
    """The user's own items: those seen most often first, and of these the newest."""

    name = "repeat"

    def scores(self, shopper: Shopper) -> Scores:
        """As ``Scoring.scores``: the count, and less than one more for how new."""
        count = len(shopper.history)
        items = np.fromiter(shopper.history, np.int64, count)
        counts = np.fromiter(shopper.history.values(), np.float64, count)
        return items, counts + np.arange(count) / max(count, 1)

    def rank(self, shopper: Shopper, count: int) -> list[int]:
        """As ``Baseline.rank``."""
        return best(self.scores(shopper), count)

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:
        """Nothing to learn: the history says it all."""
