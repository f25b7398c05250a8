"""A prediction and what came of it, small enough to send: topic ``examples`` carries these beside the ranker's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from streamer.core.examples import decoded, encode
from streamer.core.predictions.predictor import NONE_OF_THEM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.predictions.pending import Open
    from streamer.core.predictions.served import Foreseeing

    Floats = NDArray[np.float64]

OUTCOME_VERSION: Final = 1
_MOST_ROWS: Final = 1024


class Outcome(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """``outcome``: the place of the row that came true, -1 for none. ``time_ms``: of the moment.

    ``features`` names the list that ``x``, float16 [m, F], belongs to; ``p``, float32 [m]: what the model that was
    served when the outcome came to be known said of the moment. All little-endian.
    """

    version: int
    predictor: str
    fingerprint: int
    time_ms: int
    features: int
    outcome: int
    x: bytes
    p: bytes

    def rows(self) -> int:
        """How many: m."""
        return len(self.p) // 4

    def x_many(self) -> Floats:
        """X, float64 [F, m]."""
        return np.frombuffer(self.x, dtype="<f2").reshape(self.rows(), -1).T.astype(np.float64)

    def labels(self) -> Floats:
        """y, float64 [m], each 0 or 1."""
        y = np.zeros(self.rows())
        if self.outcome != NONE_OF_THEM:
            y[self.outcome] = 1.0
        return y

    def served(self) -> Floats:
        """p, float64 [m]."""
        return np.frombuffer(self.p, dtype="<f4").astype(np.float64)

    def encode(self) -> bytes:
        """Its bytes on topic ``examples``."""
        return encode(self)

    @staticmethod
    def decode(value: bytes) -> Outcome | None:
        """The outcome, or ``None`` if the bytes are none."""
        if (found := decoded(_decode, value)) is None:
            return None
        m = len(found.p) // 4
        shaped = 0 < m <= _MOST_ROWS and len(found.p) == 4 * m and found.x and len(found.x) % (2 * m) == 0
        if not (found.version == OUTCOME_VERSION and shaped and NONE_OF_THEM <= found.outcome < m):
            return None
        p = np.frombuffer(found.p, dtype="<f4")
        # So written, NaN is refused too.
        sound = bool(((p >= 0) & (p <= 1)).all())
        return found if sound and np.isfinite(np.frombuffer(found.x, dtype="<f2")).all() else None


_decode: Final = msgspec.msgpack.Decoder(Outcome).decode


def outcome_of(waited: Open, outcome: int, foreseeing: Foreseeing) -> Outcome:
    """The example of a settled prediction, with what ``foreseeing`` says of its moment now."""
    x = np.frombuffer(waited.x, dtype="<f2").reshape(len(waited.keys), -1).T.astype(np.float64)
    p = foreseeing.probabilities(waited.predictor, waited.features, x)
    return Outcome(
        OUTCOME_VERSION,
        waited.predictor,
        waited.fingerprint,
        waited.made_ms,
        waited.features,
        outcome,
        waited.x,
        p.astype("<f4").tobytes(),
    )
