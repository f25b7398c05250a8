"""A bounded cache of committed rows in front of the disk."""

from __future__ import annotations

from typing import Final

# What a dict slot and the headers of two bytes objects take beside their contents, on 64-bit CPython.
ROW_OVERHEAD_BYTES: Final = 180


class HotRows:
    """The rows used most recently, by physical key; ``None`` says the disk has no such row.

    Two generations approximate least-recently-used at the cost of a dict lookup: what is used moves to the young
    one, and once that fills half of ``limit_bytes``, the old one is dropped whole and the young one becomes old.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._half = limit_bytes // 2
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}
        self._young_bytes = 0

    def get(self, key: bytes, default: object) -> object:
        """The row, or ``default`` when the cache does not know."""
        row: object = self._young.get(key, default)
        if row is default:
            row = self._old.get(key, default)
            if row is not default:
                self.put(key, row if isinstance(row, bytes) else None)
        return row

    def put(self, key: bytes, row: bytes | None) -> None:
        """Remember that the disk holds ``row`` under ``key``."""
        if not self._half:
            return
        size = len(row) if row is not None else 0
        young = self._young
        if key in young:
            before = young[key]
            self._young_bytes += size - (len(before) if before is not None else 0)
        else:
            self._young_bytes += size + len(key) + ROW_OVERHEAD_BYTES
        young[key] = row
        if self._young_bytes > self._half:
            self._old, self._young, self._young_bytes = young, {}, 0

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old, self._young_bytes = {}, {}, 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
