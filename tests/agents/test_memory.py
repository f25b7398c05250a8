"""What the C allocator is told, and that memory goes back to the system, seen from outside."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PIECES, PIECE_BYTES = 2000, 64 * 1024
LARGE, LARGE_BYTES = 50, 1024 * 1024

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

#: Large pieces come and go, as memtables do, and after each of them something small comes to stay.
BETWEEN = f"""
import ctypes
from pathlib import Path
from agents import memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
assert memory.settle()

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def large():
    piece = libc.malloc({LARGE_BYTES})
    ctypes.memset(piece, 1, {LARGE_BYTES})
    return piece

libc.free(large())
before, pieces = resident(), []
for _ in range({LARGE}):
    pieces.append(large())
    libc.malloc(1000)
held = resident() - before
for piece in pieces:
    libc.free(piece)
print(held, resident() - before)
"""

on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc: it is left alone")


def told(program: str) -> tuple[int, int]:
    """Bytes that a process of its own says it held, and what was left of them."""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    held, left = map(int, run.stdout.split())
    return held, left


@on_glibc
def test_large_blocks_go_at_once_though_small_ones_came_after_them() -> None:
    """As glibc comes, the second block of a size would lie among the small ones, and its pages stay."""
    held, left = told(BETWEEN)

    assert held > LARGE * LARGE_BYTES * 0.9
    assert left < held / 20


@on_glibc
def test_what_a_backlog_took_goes_back_to_the_system() -> None:
    """Freed pieces below one that is still used stay with the process, until it gives them back."""
    held, left = told(BACKLOG)

    assert held > PIECES * PIECE_BYTES * 0.9
    assert left < held / 4
