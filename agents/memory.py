"""How the C allocator keeps memory: in few pools, and not for longer than it is of use.

A backlog makes buffers, arrays and RocksDB's own blocks grow and go again. As it comes, glibc keeps a pool for every
thread or two, raises by what it sees the size from which it asks the system for a piece of its own, and gives back
only what lies at the end of a pool; so a worker stays as large as it ever was. See mallopt(3) and malloc_trim(3).
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

# From glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

POOLS: Final = 2
#: A piece of this size or more is asked of the system and given back to it at once.
OWN_PIECE_BYTES: Final = 1 << 20
#: So much may lie unused at the end of a pool.
UNUSED_BYTES: Final = 4 << 20
TRIM_EVERY_S: Final = 30.0


def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        _ = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return library


def settle() -> bool:
    """Tell the allocator so, before threads have pools of their own.

    False where it is another than glibc's, which then does as it always does.
    """
    library = _glibc()
    if library is None:
        return False
    told = [(_M_ARENA_MAX, POOLS), (_M_MMAP_THRESHOLD, OWN_PIECE_BYTES), (_M_TRIM_THRESHOLD, UNUSED_BYTES)]
    return all(library.mallopt(name, value) for name, value in told)


async def give_back(every_s: float = TRIM_EVERY_S) -> None:
    """Until cancelled, have the allocator give back what it does not use, beside the loop."""
    library = _glibc()
    if library is None:
        return
    while True:
        await asyncio.sleep(every_s)
        # ctypes lets go of the interpreter's lock meanwhile.
        await asyncio.to_thread(library.malloc_trim, 0)
