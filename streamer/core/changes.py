"""What got cheaper or can be had again, by the place in topic ``catalog`` that says so.

Of each item the newest of either kind counts: what came before it is overtaken. So a shop that marks down all it sells
loses no change, and there are never more of them than items.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["cheaper", "back"]
_SPARE: Final = 1024


class Change(NamedTuple):
    """The record at ``offset`` made an item cheaper, or let it be had again."""

    offset: int
    key: int
    kind: Kind


class Changes:
    """The newest change of each kind of every item, in the order of the catalog's records.

    ``position``: the offset of the catalog's next record; whoever applies records says it before each and after the
    last. Nothing is noted down unless ``kept``. Two replicas at one position hold the same changes from any offset on,
    if both read the catalog from before it and it was not compacted in between.
    """

    __slots__ = ("_changes", "_newest", "_offsets", "kept", "position")

    def __init__(self, *, kept: bool = False) -> None:
        self.kept, self.position = kept, 0
        self._changes: list[Change] = []
        self._offsets: list[int] = []
        self._newest: dict[tuple[int, Kind], int] = {}

    @property
    def newest(self) -> int:
        """The offset of the newest change, -1 if there is none."""
        return self._offsets[-1] if self._offsets else -1

    def at(self, position: int) -> None:
        """The catalog's next record is the one at ``position``."""
        self.position = position

    def note(self, key: int, kind: Kind) -> None:
        """The record at ``position`` changed this item so."""
        if not self.kept:
            return
        self._newest[key, kind] = self.position
        self._changes.append(Change(self.position, key, kind))
        self._offsets.append(self.position)
        if len(self._changes) > 2 * len(self._newest) + _SPARE:
            self._changes = [change for change in self._changes if self._counts(change)]
            self._offsets = [change.offset for change in self._changes]

    def since(self, offset: int) -> Iterator[Change]:
        """The changes from ``offset`` on, in order."""
        changes = self._changes
        for place in range(bisect_left(self._offsets, offset), len(changes)):
            if self._counts(changes[place]):
                yield changes[place]

    def _counts(self, change: Change) -> bool:
        return self._newest[change.key, change.kind] == change.offset
