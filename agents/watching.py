"""Table ``watch`` of one task: who of its shoppers watches which items."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from state.errors import StateCorrupt
from streamer.core.campaigns.watching import user_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.role import TaskContext
    from state.table import Table
    from streamer.core.campaigns.watching import Watch


class WatchTable:
    """The table, and what the task's own row says of it: how many rows it has, and what they have been told."""

    def __init__(self, table: Table[Watch], context: TaskContext) -> None:
        self._table, self._context = table, context

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self._context.row.watched

    @property
    def swept(self) -> tuple[int, str]:
        """Up to where changes have been told."""
        return self._context.row.swept, self._context.row.swept_after

    def get_many(self, keys: Sequence[str]) -> Sequence[Watch | None]:
        """The rows under these keys."""
        return self._table.get_many(keys)

    def between(self, spans: Sequence[tuple[str, str]], limit: int) -> list[tuple[int, str, Watch]]:
        """The first ``limit`` rows of the spans. Raises ``StateCorrupt`` for a key that is none."""
        found = [(place, cast("str", key), row) for place, key, row in self._table.ranges(spans, limit)]
        try:
            for _, key, _ in found:
                user_of(key)
        except ValueError as error:
            raise StateCorrupt(f"table watch: {error}") from error
        return found

    def write(self, rows: Mapping[str, Watch | None], count: int, offset: int, after: str) -> None:
        """Put the rows, delete those that are ``None``. ``Effects.watching`` tells the others."""
        self._table.write(rows)
        row = self._context.row
        row.watched, row.swept, row.swept_after = count, offset, after

    def catch_up(self, position: int) -> None:
        """There are no changes that are yet to be told before this offset of the catalog."""
        row = self._context.row
        if position > row.swept:
            row.swept, row.swept_after = position, ""
