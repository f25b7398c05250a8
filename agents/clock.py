"""The time that local state is dated by: the wall clock as it was when the process began, counted on steadily.

Whether state on a disk is too old to be completed is asked when a process starts. A wall clock that jumped while the
one before it ran must not answer that: forward, state that lacks deletions would pass for fresh; backward, fresh state
would be thrown away, or refused where its changelog could not rebuild it.
"""

from __future__ import annotations

import time
from typing import Final

_BEGAN_S: Final = time.time() - time.monotonic()


def steady_ms() -> int:
    """Milliseconds since the epoch, without the jumps that the wall clock made since this process began."""
    return int(1000 * (_BEGAN_S + time.monotonic()))
