"""What the C allocator is told, and that memory goes back to the system, seen from outside."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PIECES, PIECE_BYTES = 2000, 64 * 1024

#: Many pieces taken and given up again but for the last, which keeps the pool from shrinking at its end.
BACKLOG = f"""
import asyncio, ctypes, time
from pathlib import Path
from agents import memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
assert memory.settle()
before = resident()
pieces = [libc.malloc({PIECE_BYTES}) for _ in range({PIECES})]
for piece in pieces:
    ctypes.memset(piece, 1, {PIECE_BYTES})
for piece in pieces[:-1]:
    libc.free(piece)
held = resident() - before

async def given_back():
    giving = asyncio.create_task(memory.give_back(0.01))
    deadline = time.monotonic() + 20
    while resident() - before > held // 4 and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    giving.cancel()

asyncio.run(given_back())
print(held, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc: it is left alone")
def test_what_a_backlog_took_goes_back_to_the_system() -> None:
    """Freed pieces below one that is still used stay with the process, until it gives them back."""
    told = subprocess.run([sys.executable, "-c", BACKLOG], capture_output=True, text=True, check=True)

    held, left = map(int, told.stdout.split())

    assert held > PIECES * PIECE_BYTES * 0.9
    assert left < held / 4
