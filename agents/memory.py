"""How the C allocator keeps memory: in few pools, large blocks apart from small ones, and not for longer than of use.

A backlog makes buffers, arrays and RocksDB's own blocks grow and go again. As it comes, glibc keeps up to eight pools
for each core, and gives back only what lies at the end of a pool; so a worker stays as large as it ever was. Once a
large block was given up, it also takes all of that size from the pools: where a memtable's megabytes were, rows settle,
the next memtable finds no room there, and under a steady load a worker grows for half an hour and more.

See mallopt(3) and malloc_trim(3). To have all given back at once, by its thresholds, costs: the arrays of every
micro-batch are then asked of the system anew (scoring 4.7 instead of 4.2 us an event, two runs of
``load_tests.compute`` each). So large blocks alone are, and the rest is given back every half minute.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

# From glibc's malloc.h.
_M_ARENA_MAX: Final = -8
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1

POOLS: Final = 2
#: Blocks from this size on, a memtable's megabyte among them, have pages of their own that go when the block does. From
#: 256 KiB on it would be all arrays of a backlog as well: scoring then takes half as long again.
LARGE_BYTES: Final = 1 << 19
#: What may be unused at the end of a pool until it is next given back. By default it would follow ``LARGE_BYTES``, and
#: a micro-batch would ask for the same pages as the one before.
SPARE_BYTES: Final = 64 << 20
TRIM_EVERY_S: Final = 30.0


def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
        _ = library.mallopt, library.malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
    return library


def settle() -> bool:
    """Tell the allocator how many pools to keep, and of what, before threads have pools of their own.

    False where it is another than glibc's, which then does as it always does.
    """
    library = _glibc()
    if library is None:
        return False
    told = {_M_ARENA_MAX: POOLS, _M_MMAP_THRESHOLD: LARGE_BYTES, _M_TRIM_THRESHOLD: SPARE_BYTES}
    return 0 not in [library.mallopt(name, value) for name, value in told.items()]


async def give_back(every_s: float = TRIM_EVERY_S) -> None:
    """Until cancelled, have the allocator give back what it does not use, beside the loop."""
    library = _glibc()
    if library is None:
        return
    while True:
        await asyncio.sleep(every_s)
        # ctypes lets go of the interpreter's lock meanwhile.
        await asyncio.to_thread(library.malloc_trim, 0)
