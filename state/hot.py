"""A bounded cache of what was read or put lately, in front of the overlay and the disk."""

from __future__ import annotations

from typing import Final

# What a dict slot and the headers of two objects take beside their contents, on 64-bit CPython.
ROW_OVERHEAD_BYTES: Final = 180


class HotRows:
    """The rows used most recently, by physical key, encoded or decoded as their table has them; ``None``: no such row.

    Two generations approximate least-recently-used at the cost of a dict lookup: what is used moves to the young
    one, and once that fills half of ``limit_bytes``, the old one is dropped whole and the young one becomes old.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._half = limit_bytes // 2
        # Each with the bytes it is counted for.
        self._young: dict[bytes, tuple[object, int]] = {}
        self._old: dict[bytes, tuple[object, int]] = {}
        self._young_bytes = self._old_bytes = 0

    def get(self, key: bytes, default: object) -> object:
        """The row, or ``default`` when the cache does not know."""
        held = self._young.get(key)
        if held is None:
            held = self._old.get(key)
            if held is None:
                return default
            self._add(key, held)
        return held[0]

    def put(self, key: bytes, row: object, size_bytes: int) -> None:
        """Remember the newest row under ``key``, of so many bytes when encoded."""
        if self._half:
            before = self._young.get(key)
            if before is not None:
                self._young_bytes -= before[1]
            self._add(key, (row, size_bytes + len(key) + ROW_OVERHEAD_BYTES))

    def _add(self, key: bytes, held: tuple[object, int]) -> None:
        self._young[key] = held
        self._young_bytes += held[1]
        if self._young_bytes > self._half:
            self._old, self._old_bytes = self._young, self._young_bytes
            self._young, self._young_bytes = {}, 0

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old, self._young_bytes, self._old_bytes = {}, {}, 0, 0

    @property
    def size_bytes(self) -> int:
        """What is held, as it is counted; a row that is in both generations is one object, and counted twice."""
        return self._young_bytes + self._old_bytes

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
