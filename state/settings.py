"""Memory and disk behaviour of a worker's task stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class StateSettings:
    """How much memory RocksDB may take, and how it writes.

    ``block_cache_bytes`` is per process, shared by all its tasks. A task adds at most ``write_buffers`` memtables of
    ``write_buffer_bytes`` each (twice that while the disk cannot keep up), ``hot_rows_bytes`` of recently used rows (0:
    none), and about 4 B a row of index and filters for its ``max_open_files``.
    """

    block_cache_bytes: int = 4 * MIB
    write_buffer_bytes: int = 8 * MIB
    write_buffers: int = 2
    hot_rows_bytes: int = 8 * MIB
    bloom_bits_per_key: int = 10
    max_open_files: int = 128
    background_jobs: int = 2
    compression: Literal["lz4", "none"] = "lz4"

    def __post_init__(self) -> None:
        for name in ("block_cache_bytes", "write_buffer_bytes"):
            if getattr(self, name) < 64 * 1024:
                raise ValueError(f"{name} = {getattr(self, name)}: give at least 65536 bytes")
        if self.write_buffers < 2:
            raise ValueError(f"write_buffers = {self.write_buffers}: give at least 2, or commits wait for every flush")
        if self.hot_rows_bytes < 0 or self.bloom_bits_per_key < 0:
            raise ValueError("hot_rows_bytes and bloom_bits_per_key cannot be negative")
        if self.max_open_files < 16:
            raise ValueError(f"max_open_files = {self.max_open_files}: give at least 16")
        if self.background_jobs < 1:
            raise ValueError(f"background_jobs = {self.background_jobs}: give at least 1")
        if self.compression not in ("lz4", "none"):
            raise ValueError(f"compression = {self.compression!r}: choose 'lz4' or 'none'")
