"""What each feature weighs in a model: how far it moves scores, on average, from where they would be without it.

A row's log-odds are a sum of the features' contributions. What a feature does to one row is its contribution less the
mean of it over the rows of the same list; a question of one row is compared with the rows before. The mean of the
absolute values is the feature's importance, in log-odds: that of SHAP, which for a linear model is exact (Lundberg,
Lee, "A unified approach to interpreting model predictions", NeurIPS 2017); of a net the contributions are those of the
linear piece that the row lies in. Of questions of one row, what a weight moves while it is learned counts too. What all
rows of a list share moves no order, and counts as nothing here.

Prequential: each list by the model that had not learned from it. In no digest, so that numpy's own sums will do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.models.model import Floats


class ImportanceState(msgspec.Struct, array_like=True):
    """The accumulators, for a table's row. ``moved`` and ``usual`` are float64 [F]."""

    lists: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    moved: bytes
    usual: bytes


class Importance:
    """Of the features of one model, in constant memory. ``lists`` were looked at."""

    def __init__(self, names: Sequence[str], memory: int = 0) -> None:
        """``memory``: about how many of the newest lists it tells of; 0 for all alike."""
        self._names = tuple(names)
        self._least = 1.0 / memory if memory else 0.0
        self.lists = 0
        self._moved, self._usual = np.zeros(len(names)), np.zeros(len(names))

    def update(self, parts: Floats, w: Floats) -> None:
        """Take the contributions [F, n] of a list's rows, each of which stands for ``w`` [n] rows."""
        mean: Floats = (parts * w).sum(axis=1) / w.sum()
        alone = parts.shape[1] == 1 and self.lists
        moved = (np.abs(parts - (self._usual if alone else mean)[:, None]) * w).sum(axis=1) / w.sum()
        if not (np.isfinite(moved).all() and np.isfinite(mean).all()):
            return
        self.lists += 1
        rate = max(self._least, 1.0 / self.lists)
        self._moved += rate * (moved - self._moved)
        self._usual += rate * (mean - self._usual)

    def figures(self) -> dict[str, float]:
        """Mean absolute log-odds by feature, the greatest first, ties in the order of the names; empty before any."""
        if not self.lists:
            return {}
        named = zip(self._names, self._moved.round(6).tolist(), strict=True)
        return dict(sorted(named, key=lambda entry: -entry[1]))

    def state(self) -> bytes:
        """Everything, for ``restore``."""
        moved, usual = (part.astype("<f8").tobytes() for part in (self._moved, self._usual))
        return msgspec.msgpack.encode(ImportanceState(self.lists, moved, usual))

    def restore(self, row: bytes | None) -> None:
        """Go on from what ``state`` gave; from nothing if it was of other features or is damaged."""
        try:
            state = msgspec.msgpack.decode(row or b"", type=ImportanceState)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        size = 8 * len(self._names)
        if (len(state.moved), len(state.usual)) != (size, size):
            return
        moved, usual = (np.frombuffer(part, dtype="<f8").copy() for part in (state.moved, state.usual))
        # So written, NaN is refused too.
        if (moved >= 0).all() and np.isfinite(moved + usual).all():
            self.lists, self._moved, self._usual = state.lists, moved, usual
