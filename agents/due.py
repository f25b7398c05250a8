"""Table ``due`` of one task: when which of its shoppers is next to be looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents.role import NEVER
from state.errors import StateCorrupt
from streamer.core.timers import due_key, read_due_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from state.table import Table

_END_MS: Final = 10**15 - 1


class DueTable:
    """Reads the table from its first row on, which it remembers: what fired before lies in front of it as tombstones.

    ``first_ms`` is the time of the first row, ``NEVER`` without rows.
    """

    def __init__(self, table: Table[bytes], least_ms: int) -> None:
        """No row of ``table`` is earlier than ``least_ms``."""
        self._table = table
        self.first_ms = self._from(least_ms)

    def first(self, until_ms: int, limit: int) -> list[str]:
        """Of the keys of ``until_ms`` or earlier the first ``limit``, in order."""
        if until_ms < self.first_ms:
            return []
        return self._read(self.first_ms, until_ms + 1, limit)

    def write(self, rows: Mapping[str, bytes | None]) -> None:
        """Put the rows; one that is ``None`` is deleted."""
        self._table.write(rows)
        lost = False
        for key, row in rows.items():
            due_ms, _ = read_due_key(key)
            if row is None:
                lost = lost or due_ms <= self.first_ms
            elif due_ms < self.first_ms:
                self.first_ms = due_ms
        if lost:
            self.first_ms = self._from(self.first_ms)

    def _from(self, at_ms: int) -> int:
        if at_ms > _END_MS:
            return NEVER
        found = self._read(at_ms, _END_MS, 1)
        return read_due_key(found[0])[0] if found else NEVER

    def _read(self, from_ms: int, to_ms: int, limit: int) -> list[str]:
        keys = [str(key) for key, _ in self._table.range(due_key(from_ms, ""), due_key(to_ms, ""), limit)]
        try:
            for key in keys:
                read_due_key(key)
        except ValueError as error:
            raise StateCorrupt(f"table due: {error}") from error
        return keys


class OneDue:
    """A single row of the table, as if it were all."""

    def __init__(self, key: str) -> None:
        self._key = key

    def first(self, until_ms: int, limit: int) -> list[str]:  # noqa: ARG002 - there is one
        """Its key."""
        return [self._key] if read_due_key(self._key)[0] <= until_ms else []
