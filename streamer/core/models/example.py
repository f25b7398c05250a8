"""A labelled list: what was ranked, what the shopper then did, small enough to send.

For a seeded sample of events the state just before the event is ranked, and the event itself labels that list. An
example keeps all rows the shopper took up, and of the others a uniform sample, each standing for as many rows as it was
drawn from; so sums over an example estimate, without bias, sums over the whole list.

A list of which nothing was taken up makes no example: learning from those too, measured on two logs, ranked worse.
So what the model calls a probability is one given that something of the list is taken up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from streamer.core.examples import decoded, encode
from streamer.core.models.model import on_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.models.model import Floats

EXAMPLE_VERSION: Final = 1
MAX_BYTES: Final = 12 * 1024
MAX_POSITIVES: Final = 32
"""An order of hundreds of lines is learned from by a sample of them, so that an example stays small."""
_BYTES_A_ROW: Final = 1 + 4 + 4
_ENVELOPE: Final = 128
_FLOAT16_MAX: Final = 65504.0
_ABSURD: Final = 1e9
"""More rows than any list has."""


class Example(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One ranked list with its labels, m rows of F features.

    ``fingerprint`` is of the event, ``time_ms`` its time; ``features_id`` names the feature list. ``x`` is float16
    [F, m], ``labels`` uint8 [m], ``weights`` float32 [m] (how many rows of the list each stands for), ``p`` float32
    [m]: the probabilities served, by the model of ``model_version``. All little-endian.
    """

    version: int
    fingerprint: int
    time_ms: int
    features_id: int
    model_version: int
    x: bytes
    labels: bytes
    weights: bytes
    p: bytes

    def rows(self) -> int:
        """How many: m."""
        return len(self.labels)

    def features(self) -> Floats:
        """X, float64 [F, m]."""
        return np.frombuffer(self.x, dtype="<f2").reshape(-1, len(self.labels)).astype(np.float64)

    def outcomes(self) -> Floats:
        """y, float64 [m], each 0 or 1."""
        return np.frombuffer(self.labels, dtype=np.uint8).astype(np.float64)

    def sampling_weights(self) -> Floats:
        """w, float64 [m]."""
        return np.frombuffer(self.weights, dtype="<f4").astype(np.float64)

    def served(self) -> Floats:
        """Probabilities at decision time, float64 [m]."""
        return np.frombuffer(self.p, dtype="<f4").astype(np.float64)

    def encode(self) -> bytes:
        """Its bytes on topic ``examples``; at most ``MAX_BYTES``."""
        return encode(self)

    @staticmethod
    def decode(value: bytes) -> Example | None:
        """The example, or ``None`` if the bytes are none."""
        if (example := decoded(_decode, value)) is None:
            return None
        m = len(example.labels)
        sound = (
            example.version == EXAMPLE_VERSION
            and m > 0
            and max(example.labels) <= 1
            and len(example.x) % (2 * m) == 0
            and len(example.weights) == len(example.p) == 4 * m
        )
        if not sound:
            return None
        weights, p = np.frombuffer(example.weights, dtype="<f4"), np.frombuffer(example.p, dtype="<f4")
        # So written, NaN is refused too.
        sound = bool(((weights >= 0) & (weights < _ABSURD) & (p >= 0) & (p <= 1)).all())
        return example if sound and np.isfinite(np.frombuffer(example.x, dtype="<f2")).all() else None


_decode: Final = msgspec.msgpack.Decoder(Example).decode


def label(items: NDArray[np.int64], taken: Sequence[int]) -> NDArray[np.bool_]:
    """Which of the ``items`` [n] of a list are among those ``taken`` up (both dense ids)."""
    labels = np.zeros(len(items), dtype=np.bool_)
    for item in taken:
        labels |= items == item
    return labels


def build_example(
    x: Floats,
    labels: NDArray[np.bool_],
    p: Floats,
    fingerprint: int,
    *,
    time_ms: int,
    features_id: int,
    model_version: int,
    max_negatives: int = 32,
    seed: int = 1,
) -> Example | None:
    """The example of a ranked list: features ``x`` [F, n], ``labels`` [n], probabilities served ``p`` [n].

    ``None`` for an empty list and for one of which nothing was taken up: it says nothing of the order. What is sampled
    depends on the event, the seed and the order of the list alone.
    """
    positives = np.flatnonzero(labels)
    if not len(positives):
        return None
    negatives = np.flatnonzero(~labels)
    room = max(2, (MAX_BYTES - _ENVELOPE) // (_BYTES_A_ROW + 2 * len(x)))
    kept = _sample(positives, min(MAX_POSITIVES, room // 2), fingerprint, seed)
    others = _sample(negatives, min(max_negatives, room - len(kept)), fingerprint, seed + 1)
    rows = np.concatenate((kept, others))
    weights = np.empty(len(rows), dtype="<f4")
    weights[: len(kept)] = len(positives) / len(kept)
    weights[len(kept) :] = len(negatives) / len(others) if len(others) else 0.0
    marks = np.zeros(len(rows), dtype=np.uint8)
    marks[: len(kept)] = 1
    chosen = np.minimum(np.maximum(x[:, rows], -_FLOAT16_MAX), _FLOAT16_MAX)
    return Example(
        EXAMPLE_VERSION,
        fingerprint,
        time_ms,
        features_id,
        model_version,
        chosen.astype("<f2").tobytes(),
        marks.tobytes(),
        weights.tobytes(),
        on_grid(p[rows]).astype("<f4").tobytes(),
    )


def _sample(rows: NDArray[np.int64], count: int, fingerprint: int, seed: int) -> NDArray[np.int64]:
    """``count`` of the rows, uniformly without replacement, in list order: those of the smallest SplitMix64 draws."""
    if len(rows) <= count:
        return rows
    start = (fingerprint + (seed + 1) * 0x9E37_79B9_7F4A_7C15) & (2**64 - 1)
    z = np.uint64(start) + np.arange(1, len(rows) + 1, dtype=np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    z ^= z >> np.uint64(31)
    drawn: NDArray[np.int64] = np.sort(rows[np.argsort(z, kind="stable")[:count]])
    return drawn
