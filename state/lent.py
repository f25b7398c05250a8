"""Decoded values kept for the next reader of a table, each lent to one borrower at a time.

Decoding a row costs more than reading it, and busy keys come back batch after batch. But a table owes each reader a
fresh object, as the reader may change it and then fail. So a value is *taken out* when it is lent: whoever asks again
gets a fresh one from the row. Only what was put, and so is what the row says, comes back for the next borrower.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from state.table import Table

V = TypeVar("V")


class Lent(Generic[V]):
    """A text-keyed table whose last ``limit`` values put are kept decoded. All writing must go through here.

    After ``put_many`` the value belongs to this table: the caller must not change it.
    """

    def __init__(self, table: Table[V], limit: int) -> None:
        self._table, self._limit = table, limit
        self._kept: dict[str, V] = {}

    def get_many(self, keys: Sequence[str]) -> list[V | None]:
        """The values under ``keys``, each the caller's own. A key named twice gets two objects."""
        take = self._kept.pop
        found: list[V | None] = [take(key, None) for key in keys]
        absent = [place for place, value in enumerate(found) if value is None]
        for place, value in zip(absent, self._table.get_many([keys[place] for place in absent]), strict=True):
            found[place] = value
        return found

    def put_many(self, rows: Iterable[tuple[str, V]]) -> None:
        """Set several values, and keep them for whoever asks next."""
        pairs = list(rows)
        self._table.put_many(pairs)
        kept = self._kept
        for key, value in pairs:
            kept.pop(key, None)
            kept[key] = value
        while len(kept) > self._limit:
            del kept[next(iter(kept))]

    def delete(self, key: str) -> None:
        """Remove ``key``."""
        self._kept.pop(key, None)
        self._table.delete(key)
