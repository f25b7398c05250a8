"""Whether what is learned from still looks like something: a guard against examples that have lost their content.

A producer that stops sending categories, an item index that is gone, a label that is always yes: what is then learned
replaces what was known by nothing. The guard holds the share of features that are not 0 against its own long
memory; an example of which all rows, or none, were taken up counts as empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from streamer.core.models.model import Floats

_SHORT, _LONG = 1.0 / 32.0, 1.0 / 2048.0
_LEAST: Final = 256
"""Examples before it judges."""


class GuardState(msgspec.Struct, array_like=True):
    """Its memories: examples seen, and fading means of the share of features that are not 0."""

    seen: int = 0
    short: float = 0.0
    long: float = 0.0

    def is_sound(self) -> bool:
        """Whether these are shares."""
        return 0.0 <= self.short <= 1.0 and 0.0 <= self.long <= 1.0 and self.seen >= 0


class Guard:
    """``share``: the input has collapsed while its content is below this share of the usual; 0 for never."""

    def __init__(self, share: float, state: GuardState | None = None) -> None:
        self.share, self.state = share, state or GuardState()

    def collapsed(self, x: Floats, y: Floats) -> bool:
        """Take one example, features [F, m] and labels [m]. Whether it had better not be learned from.

        The long memory stands still meanwhile, so that emptiness never becomes what is usual.
        """
        state = self.state
        both = 0.0 < float(y.sum()) < len(y)
        content = float(np.count_nonzero(x)) / x.size if both and x.size else 0.0
        state.seen = min(state.seen + 1, 2**53)
        state.short += max(_SHORT, 1.0 / state.seen) * (content - state.short)
        if state.seen > _LEAST and state.short < self.share * state.long:
            return True
        state.long += max(_LONG, 1.0 / state.seen) * (content - state.long)
        return False
