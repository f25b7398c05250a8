"""A step of learning: what a shopper took up, and what before. Topic ``examples`` carries these beside the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from streamer.core.events import EVENT_TYPES
from streamer.core.examples import decoded, encode
from streamer.core.profile import newest_items
from streamer.core.sampling import STEPS, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.events import Event
    from streamer.core.profile import Profile
    from streamer.core.vector_settings import VectorSettings

MOST_TAKEN: Final = 8
"""Of an order of hundreds of lines, so many are learned from."""
_MOST_BEFORE: Final = 32


class Step(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="step/1"):
    """Keys of items, uint64, little-endian: those touched ``before``, newest first, and those then ``taken`` up."""

    before: bytes
    taken: bytes

    def keys(self) -> tuple[list[int], list[int]]:
        """Both as numbers."""
        return _keys(self.before), _keys(self.taken)

    def sound(self) -> bool:
        """Whether these are keys, some of each and not too many."""
        before, taken = len(self.before), len(self.taken)
        return before % 8 == taken % 8 == 0 and 0 < before <= 8 * _MOST_BEFORE and 0 < taken <= 8 * MOST_TAKEN

    def encode(self) -> bytes:
        """Its bytes on topic ``examples``."""
        return encode(self)

    @staticmethod
    def decode(value: bytes) -> Step | None:
        """The step, or ``None`` if the bytes are none."""
        found = decoded(_decode, value)
        return found if found is not None and found.sound() else None


_decode: Final = msgspec.msgpack.Decoder(Step).decode


def step_of(event: Event, before: Profile | None, settings: VectorSettings) -> Step | None:
    """What is learned from an event of a shopper whose profile was ``before``; ``None`` if nothing is.

    An event that is out of order says nothing of what came before it.
    """
    if before is None or not event.lines or event.time < before.last_ms or EVENT_TYPES[event.type].weight <= 0:
        return None
    if share(event.fingerprint, STEPS) >= settings.learn_rate:
        return None
    newest = newest_items(before, settings.recents, 0)[::-1]
    taken = list(dict.fromkeys([line.key for line in event.lines]))[:MOST_TAKEN]
    return Step(_packed(newest), _packed(taken)) if newest else None


def _packed(keys: Sequence[int]) -> bytes:
    return np.array(keys, "<u8").tobytes()


def _keys(packed: bytes) -> list[int]:
    found: list[int] = np.frombuffer(packed, "<u8").tolist()
    return found
