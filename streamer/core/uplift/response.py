"""A push, or one held back for comparison, and what the shopper then did: topic ``examples`` carries these too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np

from streamer.core.examples import decoded, encode
from streamer.core.uplift.model import Forecast, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MOST_FEATURES: Final = 1024
_LEAST_CHANCE: Final = 1e-6

Chance = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Response(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="response/1"):
    """An impression whose time is over. Nothing in it names a shopper.

    ``features`` names the list that ``x``, float16 [F], little-endian, belongs to, as of the decision; ``decided_ms``
    is the stream time of it. ``pushed``: it was sent; otherwise it would have been, and was held back by chance.
    ``chance``: how probable it was that it be sent, everything else being equal. ``expected``: the forecast served at
    the decision. ``bought`` within the window, whether pushed or not; ``clicked``, ``opened``, ``opted_out``,
    ``dismissed`` likewise; ``taken``: bought within it an item that was shown. ``reached``: unless it was told that it
    never reached the shopper. Nobody could click on such a push, but what was bought counts: of those held back nobody
    knows whom a push would have reached, so the pushed are all that were to be (intention to treat).
    """

    features: int
    x: bytes
    decided_ms: int
    campaign: str
    pushed: bool
    chance: Chance
    expected: tuple[Chance, Chance, Chance, Chance]
    bought: bool
    opened: bool
    clicked: bool
    dismissed: bool
    opted_out: bool
    taken: bool = False
    reached: bool = True

    def row(self) -> Floats:
        """X, float64 [F]."""
        return unpacked(self.x)

    def forecast(self) -> Forecast:
        """What was expected at the decision."""
        return Forecast(*self.expected)

    def sound(self) -> bool:
        """Whether the features are numbers, and what happened might have been otherwise."""
        shaped = len(self.x) % 2 == 0 and 0 < len(self.x) <= 2 * _MOST_FEATURES
        # What could never have been otherwise compares with nothing.
        fair = _LEAST_CHANCE <= self.chance <= (1.0 if self.pushed else 1.0 - _LEAST_CHANCE)
        return shaped and fair and bool(np.isfinite(np.frombuffer(self.x, dtype="<f2")).all())

    def encode(self) -> bytes:
        """Its bytes on topic ``examples``."""
        return encode(self)

    @staticmethod
    def decode(value: bytes) -> Response | None:
        """The response, or ``None`` if the bytes are none."""
        found = decoded(_decode, value)
        return found if found is not None and found.sound() else None


_decode: Final = msgspec.msgpack.Decoder(Response).decode
