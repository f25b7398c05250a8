"""How the C allocator keeps memory: in few pools, and not for longer than it is of use.

A backlog makes buffers, arrays and RocksDB's own blocks grow and go again. As it comes, glibc keeps up to eight pools
for each core, and gives back only what lies at the end of a pool; so a worker stays as large as it ever was. See
mallopt(3) and malloc_trim(3). To have it give back at once, by its thresholds, costs: the arrays of every micro-batch
are then asked of the system anew (scoring 4.7 instead of 4.2 us an event, two runs of ``load_tests.compute`` each).
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

# From glibc's malloc.h.
_M_ARENA_MAX: Final = -8

POOLS: Final = 2
TRIM_EVERY_S: Final = 30.0


def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        _ = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return library


def settle() -> bool:
    """Tell the allocator how many pools to keep, before threads have pools of their own.

    False where it is another than glibc's, which then does as it always does.
    """
    library = _glibc()
    return library is not None and bool(library.mallopt(_M_ARENA_MAX, POOLS))


async def give_back(every_s: float = TRIM_EVERY_S) -> None:
    """Until cancelled, have the allocator give back what it does not use, beside the loop."""
    library = _glibc()
    if library is None:
        return
    while True:
        await asyncio.sleep(every_s)
        # ctypes lets go of the interpreter's lock meanwhile.
        await asyncio.to_thread(library.malloc_trim, 0)
