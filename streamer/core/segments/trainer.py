"""The clustering of shoppers, learned online from portraits in log order by a model of River's.

Until there are enough shoppers to place centres among, they are kept; then River learns from each once. What is kept in
the trainer's table is plain numbers, from which the model is made anew: no pickled object outlives a process.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np

from streamer.core.events import key64
from streamer.core.segments.clusterer import placed
from streamer.core.segments.portrait import FEATURES_ID, NAMES, ONE
from streamer.core.segments.served import CENTRES, SEGMENTS, encode_centres

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from streamer.core.segment_settings import SegmentSettings
    from streamer.core.segments.clusterer import Begin, Clusterer
    from streamer.core.segments.portrait import Numbers, Portrait

    Floats = NDArray[np.float64]

STATE: Final = "trainer/segments"
"""Of the trainer's own table only."""
_MEMORY: Final = 0.999
_FARTHEST: Final = 2.0 * ONE
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class SegmentsRow(msgspec.Struct, array_like=True):
    """``count``: the setting; ``waiting``: shoppers before centres were placed; ``centres``: float64 [k, F].

    ``distance``: the mean squared distance of the newest shoppers to the centre they fell to, each from before it
    moved; ``sizes``: the share of them that fell to each.
    """

    features: int
    count: _Count
    learned: _Count
    refused: _Count
    born: int
    distance: float
    sizes: list[float]
    waiting: list[bytes]
    centres: bytes


class SegmentTrainer:
    """Where the centres are. ``learned``: from how many shoppers, those that were waited for included."""

    def __init__(self, settings: SegmentSettings, begin: Begin | None) -> None:
        """``begin`` makes a clustering that goes on from centres; without one no portrait is learned from."""
        self._settings, self._begin = settings, begin
        self.learned = self.refused = self._born = 0
        self._distance = 0.0
        self._sizes: list[float] = []
        self._waiting: list[Numbers] = []
        self._model: Clusterer | None = None
        self._published = b""
        self._unsaved = False

    def learn(self, portrait: Portrait) -> bool:
        """Take a shopper into account; one of an unknown list of features leaves no trace but a count.

        False if there is nothing to learn with.
        """
        if self._begin is None:
            return False
        self._unsaved = True
        if portrait.features != FEATURES_ID:
            self.refused += 1
            return True
        self.learned += 1
        x = portrait.numbers()
        if self._model is not None:
            self._take(x, self._model)
            return True
        self._waiting.append(x)
        if len(self._waiting) >= self._settings.first:
            centres = placed(self._waiting, self._settings.count)
            self._born = key64(repr(centres))
            self._sizes = [1.0 / len(centres)] * len(centres)
            self._model = self._begin([[float(value) for value in centre] for centre in centres], self._settings.step)
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                self._take(each, self._model)
        return True

    def _take(self, x: Numbers, model: Clusterer) -> None:
        values = {feature: float(value) for feature, value in enumerate(x)}
        segment = model.predict_one(values)
        centre = model.centers[segment]
        away = sum([(centre[feature] - value) ** 2 for feature, value in values.items()])
        kept = min(1.0 - 1.0 / self.learned, _MEMORY)
        self._distance = kept * self._distance + (1.0 - kept) * away
        self._sizes = [_MEMORY * size for size in self._sizes]
        self._sizes[segment] += 1.0 - _MEMORY
        model.learn_one(values)

    def centres(self) -> Floats:
        """The centres [k, F], in the units of portraits; none before they were placed."""
        if self._model is None:
            return np.zeros((0, len(NAMES)))
        centres = self._model.centers
        return np.array([[centres[k][feature] for feature in range(len(NAMES))] for k in range(len(centres))])

    def blocks(self) -> dict[str, bytes]:
        """What topic ``model`` has not had yet: the centres, if one of them has moved by a unit."""
        if self._model is None:
            return {}
        whole = np.rint(np.minimum(np.maximum(self.centres(), -_FARTHEST), _FARTHEST)).astype(np.int64)
        if (now := whole.tobytes()) == self._published:
            return {}
        self._published = now
        return {CENTRES: encode_centres(whole, self._born, self.learned)}

    def rows(self) -> dict[str, bytes | None]:
        """What the trainer's table has not had yet."""
        if not self._unsaved:
            return {}
        self._unsaved = False
        row = SegmentsRow(
            FEATURES_ID,
            self._settings.count,
            self.learned,
            self.refused,
            self._born,
            self._distance,
            self._sizes,
            [np.array(x, "<i2").tobytes() for x in self._waiting],
            self.centres().astype("<f8").tobytes(),
        )
        return {STATE: msgspec.msgpack.encode(row)}

    def restore(self, rows: Mapping[str, bytes]) -> str:
        """Go on from a row of the table. Says why if it could not; centres are then placed anew."""
        if (kept := rows.get(STATE)) is None or self._begin is None:
            return ""
        try:
            row = msgspec.msgpack.decode(kept, type=SegmentsRow)
        except (msgspec.DecodeError, RecursionError) as error:
            return str(error)
        if row.features != FEATURES_ID or row.count != self._settings.count or not 0 <= row.born < 1 << 64:
            return "the segments kept are of other features or another core.segments.count"
        size = len(NAMES)
        if len(row.centres) != 8 * size * len(row.sizes) or any(len(x) != 2 * size for x in row.waiting):
            return "the centres do not fit their features"
        centres = np.frombuffer(row.centres, "<f8").reshape(-1, size)
        # So written, NaN is refused too.
        if not (np.abs(centres).max(initial=0.0) <= _FARTHEST and np.isfinite([row.distance, *row.sizes]).all()):
            return "the centres lie where no shopper can be"
        self.learned, self.refused, self._born = row.learned, row.refused, row.born
        self._distance, self._sizes = row.distance, row.sizes
        self._waiting = [tuple(np.frombuffer(x, "<i2").tolist()) for x in row.waiting]
        if len(centres):
            self._model = self._begin(centres.tolist(), self._settings.step)
        return ""

    def metrics(self) -> dict[str, dict[str, float]]:
        """Figures, under the name that topic ``model`` has them by; none before anything was learned.

        ``distance`` is in units of a feature, squared; ``largest`` and ``smallest`` are shares of the newest shoppers.
        """
        if not self.learned:
            return {}
        figures = {"learned": float(self.learned), "refused": float(self.refused)}
        if self._sizes:
            figures |= {"distance": self._distance / ONE**2}
            figures |= {"largest": max(self._sizes), "smallest": min(self._sizes)}
        return {SEGMENTS + "kmeans": figures}

    def digest(self) -> str:
        """BLAKE2b-128 of all that is kept: equal for equal portraits in equal order."""
        digest = blake2b(f"{self.learned}:{self.refused}:{self._born}:{self._waiting}".encode(), digest_size=16)
        digest.update(repr((self._distance, self._sizes)).encode() + self.centres().astype("<f8").tobytes())
        return digest.hexdigest()
