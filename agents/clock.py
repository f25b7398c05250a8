"""The time that local state is dated by: the wall clock as it was when the process began, counted on steadily.

Whether state on a disk is too old to be completed is asked when a process starts. A wall clock that jumped while the
one before it ran must not answer that: forward, state that lacks deletions would pass for fresh; backward, fresh state
would be thrown away, or refused where its changelog could not rebuild it.
"""

from __future__ import annotations

import time
from typing import Final

_BEGAN_S: Final = time.time() - time.monotonic()


def ticking_ms() -> int:
    """What an idle task takes for the time, milliseconds since the epoch: the earlier of the two clocks.

    The stream time never goes back, and what is overtaken by it is refused as too old. So a wall clock that jumped
    forward must not set it.
    """
    return min(int(1000 * time.time()), steady_ms())


def steady_ms() -> int:
    """Milliseconds since the epoch, without the jumps that the wall clock made since this process began."""
    return int(1000 * (_BEGAN_S + time.monotonic()))
