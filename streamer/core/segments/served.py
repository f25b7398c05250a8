"""Segments as a worker serves them: the centres as block ``segments/kmeans`` of topic ``model`` has them.

A segment is not stored with the shopper, whose profile is a function of their events alone: it is asked for, from the
profile, the time and the centres of that moment. What a segment's shoppers took up is counted by a node of the item
index (``items/leads.py``), whose key follows from the segment and from where the centres once began; centres that begin
anew have nodes of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from streamer.core.events import key64
from streamer.core.names import NONE
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.portrait import FEATURES_ID, NAMES, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.profile import Profile

    Ints = NDArray[np.int64]

SEGMENTS: Final = "segments/"
CENTRES: Final = SEGMENTS + "kmeans"
NO_NODE: Final = 0
"""The node of nobody's segment."""
_VERSION: Final = 1
_MOST: Final = 1 << 12


class CentresBlock(msgspec.Struct, array_like=True, frozen=True):
    """``born`` names where the centres began; ``centres``: int16 [k, F], little-endian, in the units of portraits.

    ``learned``: from how many shoppers.
    """

    version: int
    features: int
    born: int
    learned: int
    centres: bytes

    def numbers(self) -> Ints:
        """The centres [k, F]. Raises ValueError if they are of no list that is known, or do not fit."""
        if self.version != _VERSION or self.features != FEATURES_ID or not 0 <= self.born < 1 << 64:
            raise ValueError("the centres are of another version or list of features")
        row = 2 * len(NAMES)
        if not self.centres or len(self.centres) % row or len(self.centres) > row * _MOST:
            raise ValueError("the centres do not fit their features")
        found: Ints = np.frombuffer(self.centres, "<i2").reshape(-1, len(NAMES)).astype(np.int64)
        return found


def encode_centres(centres: Ints, born: int, learned: int) -> bytes:
    """The block."""
    row = CentresBlock(_VERSION, FEATURES_ID, born, learned, centres.astype("<i2").tobytes())
    return msgspec.msgpack.encode(row)


def decode_centres(value: bytes) -> CentresBlock:
    """The block. Raises ValueError if the bytes are none; ``numbers`` of it may still do."""
    try:
        return _decode(value)
    except RecursionError as error:
        raise ValueError(str(error)) from None


_decode: Final = msgspec.msgpack.Decoder(CentresBlock).decode


class ServedSegments:
    """The newest centres. ``len`` tells how many segments there are: none before the first block or if switched off.

    ``nodes``: of each segment, what counts what its shoppers take up.
    """

    def __init__(self, settings: SegmentSettings | None = None) -> None:
        self._on = (settings or SegmentSettings()).on
        self._centres: Ints | None = None
        self.nodes: Sequence[int] = ()
        self.problem = ""

    def __len__(self) -> int:
        return len(self.nodes)

    def apply(self, key: str, value: bytes | None) -> bool:
        """Serve a block from now on; without one, or if it is refused (``False`` then), there are no segments.

        What is not keyed by ``CENTRES`` is passed over. ``problem`` says why a block was refused.
        """
        if key != CENTRES or not self._on:
            return True
        self._centres, self.nodes, self.problem = None, (), ""
        if value is not None:
            try:
                block = decode_centres(value)
                self._centres = block.numbers()
            except ValueError as error:  # msgspec's decode errors are among them
                self.problem = str(error)
            else:
                self.nodes = nodes(block.born, len(self._centres))
        return not self.problem

    def segment(self, profile: Profile | None, now_ms: int) -> int:
        """The segment whose centre is nearest, ties to the smaller; ``NONE`` without segments."""
        if self._centres is None:
            return NONE
        return nearest(self._centres, np.array(numbers(profile, now_ms), np.int64))

    def node(self, profile: Profile | None, now_ms: int) -> int:
        """The node that counts what the shopper's segment takes up, ``NO_NODE`` without segments."""
        return self.node_of(self.segment(profile, now_ms))

    def node_of(self, segment: int) -> int:
        """The node of a segment, ``NO_NODE`` of ``NONE``."""
        return NO_NODE if segment == NONE else self.nodes[segment]


def nearest(centres: Ints, x: Ints) -> int:
    """The row of ``centres`` [k, F] nearest to x [F]: whole numbers, so that there is nothing to round."""
    away = centres - x
    return int((away * away).sum(axis=1).argmin())


def nodes(born: int, count: int) -> tuple[int, ...]:
    """The nodes of the segments of centres that began at ``born``."""
    return tuple([key64(f"node/segment/{born:016x}/{segment}") for segment in range(count)])
