"""The sessions every worker knows: which items went together lately, found by item.

A replica of topic ``sessions``, in arrays: a session has a slot of a fixed width, and each item the slots of the newest
sessions it was in, an inverted index as that of V-SKNN (Ludewig, Jannach, "Evaluation of session-based recommendation
algorithms", UMUAI 28, 2018). What is held is a function of the rows alone, not of the order in which partitions were
read: of all sessions the newest ``kept``, for each item the newest ``per_item`` of those. It holds since a session's
newest time never goes back. (A tombstone makes room that an evicted session would have had; that is the exception.)

Rows are put into the arrays only when somebody asks, so that a session which grew ten times in between costs one.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from streamer.core.events import key64
from streamer.core.names import NONE
from streamer.core.sessions.rows import decode, owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.core.retrieval_settings import SessionSettings
    from streamer.core.sessions.rows import SessionRow

    Ints = NDArray[np.int64]

_FIRST_CAPACITY: Final = 64
_T = TypeVar("_T", bound=np.generic)
_AT_ONCE: Final = 128
"""Sessions: what is put in together takes a few megabytes."""
_NEVER: Final = -1
"""The stamp of no session: older than any."""
_TIE_BITS: Final = 31
"""Of a stamp, below the seconds: bits of the session's key."""
_FEW: Final = 8


class SessionIndex:
    """Sessions by slot; the last slot is kept empty: it is what ``NONE``, which is -1, reads.

    ``items`` int32 [slots, width]: dense ids, oldest first, ``NONE`` behind the last. ``steps`` uint8, likewise
    (``SessionRow``). ``sizes`` int64 [slots]: how many items. ``stamp`` int64 [slots]: newer sessions have greater
    ones, and no two are equal but by a chance of 2^-31 for those of one second. ``owner`` uint64 [slots]:
    ``rows.owner_key`` of the shopper.
    """

    def __init__(self, settings: SessionSettings, mention: Callable[[Sequence[int]], NDArray[np.int64]]) -> None:
        """``mention`` gives the dense ids of item keys, new ones to new items."""
        self._settings, self._mention = settings, mention
        self._pending: dict[str, SessionRow | None] = {}
        self._slot: dict[str, int] = {}
        self._key: dict[int, str] = {}
        self._free: list[int] = []
        self._by_age: list[tuple[int, int]] = []
        capacity, width = _FIRST_CAPACITY, settings.items
        self.items = np.full((capacity, width), NONE, np.int32)
        self.steps = np.zeros((capacity, width), np.uint8)
        self.sizes = np.zeros(capacity, np.int64)
        self.stamp = np.full(capacity, _NEVER, np.int64)
        self._tie = np.zeros(capacity, np.int64)
        self.owner = np.zeros(capacity, np.uint64)
        # Of each item a few more than asked for; all that were ever left out are as old as its floor, or older.
        self._width = settings.per_item + settings.per_item // 2 + 1
        self._postings = np.full((_FIRST_CAPACITY, self._width), NONE, np.int32)
        self._floor = np.full(_FIRST_CAPACITY, _NEVER, np.int64)

    def __len__(self) -> int:
        """How many sessions are held."""
        self._settle()
        return len(self._slot)

    @property
    def slots(self) -> int:
        """How many there is room for so far."""
        return len(self.stamp)

    def apply(self, key: str, row: bytes | None) -> None:
        """Take over a row of topic ``sessions``; ``None`` forgets the session.

        Raises ``msgspec.DecodeError`` if the bytes are no row, ``ValueError`` if they are of an unknown version or do
        not fit together; the index is then as it was.
        """
        self._pending[key] = None if row is None else decode(row)

    def holding(self, items: Ints) -> tuple[Ints, Ints]:
        """Of each item [n] the newest sessions it was in, at most ``per_item``: pairs [p] of a place in ``items`` and
        a slot, in order of the place.
        """
        self._settle()
        items = np.where(items < len(self._postings), items, NONE)
        listed, counts = self._listed(items)
        short = (counts < self._settings.per_item) & (self._floor.take(items) > _NEVER)
        if short.any():
            for item in np.unique(items[short]).tolist():
                self._list_anew(item)
            listed, counts = self._listed(items)
        full = (counts > self._settings.per_item).nonzero()[0]
        if len(full):
            some = listed.take(full, axis=0)
            stamps = self.stamp.take(some)
            least = np.partition(stamps, -self._settings.per_item, axis=1)[:, -self._settings.per_item]
            some[stamps < least[:, None]] = NONE
            listed[full] = some
        flat = listed.ravel()
        at = (flat != NONE).nonzero()[0]
        place: Ints = at // self._width
        return place, flat.take(at).astype(np.int64)

    def within(self, slots: Ints) -> tuple[Ints, Ints]:
        """What is in sessions [n]: pairs [p] of a place in ``slots``, in order, and one in ``items.ravel()``."""
        sizes = self.sizes.take(slots)
        place: Ints = np.arange(len(slots)).repeat(sizes)
        begin: Ints = slots * self._settings.items
        begin -= sizes.cumsum() - sizes
        at = np.arange(len(place))
        at += begin.repeat(sizes)
        return place, at

    def _listed(self, items: Ints) -> tuple[NDArray[np.int32], Ints]:
        listed = self._postings.take(items, axis=0)
        counts: Ints = np.add.reduce(listed != NONE, axis=1)
        return listed, counts

    def _list_anew(self, item: int) -> None:
        """So many of an item's sessions are gone that those left out before would count again."""
        slots = np.flatnonzero((self.items == item).any(axis=1))
        slots = slots[np.argsort(-self.stamp[slots], kind="stable")]
        self._floor[item] = self.stamp[slots[self._width]] if len(slots) > self._width else _NEVER
        self._postings[item] = NONE
        self._postings[item, : min(len(slots), self._width)] = slots[: self._width]

    def _settle(self) -> None:
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        for key in [key for key, session in pending.items() if session is None]:
            self._forget(key)
        placed = [(key, session) for key, session in pending.items() if session is not None]
        for start in range(0, len(placed), _AT_ONCE):
            self._place(placed[start : start + _AT_ONCE])
        if len(self._by_age) > 2 * len(self._slot) + _FIRST_CAPACITY:
            self._by_age = [(int(self.stamp[slot]), slot) for slot in self._key]
            heapify(self._by_age)

    def _place(self, sessions: Sequence[tuple[str, SessionRow]]) -> None:
        """Put sessions of distinct keys into the arrays, together: most of what numpy costs is the calls."""
        width = self._settings.items
        sizes = np.array([len(session.steps[-width:]) for _, session in sessions], np.int64)
        keys = np.frombuffer(b"".join([session.keys[-8 * width :] for _, session in sessions]), "<u8")
        dense = self._mention(keys.tolist()).astype(np.int32)
        self._fit(int(dense.max()))
        row = np.arange(len(sizes)).repeat(sizes)
        column = np.arange(len(dense)) - (sizes.cumsum() - sizes).repeat(sizes)
        items = np.full((len(sizes), width), NONE, np.int32)
        items[row, column] = dense
        slots = np.array([self._slot_of(key) for key, _ in sessions], np.int64)
        before = self.items.take(slots, axis=0)
        self._unlist_gone(slots, before, items)
        self.items[slots] = items
        self.sizes[slots] = sizes
        steps = b"".join([session.steps[-width:] for _, session in sessions])
        self.steps[slots.take(row), column] = np.frombuffer(steps, np.uint8)
        seconds = np.array([session.last_s for _, session in sessions], np.int64)
        stamps = (seconds << _TIE_BITS) | self._tie.take(slots)
        self.stamp[slots] = stamps
        self._list(slots.take(row), dense)
        for entry in zip(stamps.tolist(), slots.tolist(), strict=True):
            heappush(self._by_age, entry)
        while len(self._slot) > self._settings.kept:
            self._evict()

    def _unlist_gone(self, slots: Ints, before: NDArray[np.int32], after: NDArray[np.int32]) -> None:
        """Let what is no longer in sessions [n] not find them."""
        changed = (~((before == after) | (before == NONE)).all(axis=1)).nonzero()[0]
        if not len(changed):
            return  # most only grew
        slots, before, after = slots.take(changed), before.take(changed, axis=0), after.take(changed, axis=0)
        gone = (before != NONE) & ~(before[:, :, None] == after[:, None, :]).any(axis=2)
        row, at = gone.nonzero()
        if len(row):
            self._unlist(slots.take(row), before[row, at])

    def _list(self, slots: Ints, dense: NDArray[np.int32]) -> None:
        """Let each item [n] find a session; each has room for its newest."""
        missing = (~(self._postings.take(dense, axis=0) == slots[:, None]).any(axis=1)).nonzero()[0]
        slots, dense = slots.take(missing), dense.take(missing)
        while len(dense) > _FEW:
            # All items at once; one that is there more often goes on waiting.
            _, first = np.unique(dense, return_index=True)
            self._list_distinct(slots.take(first), dense.take(first))
            left = np.ones(len(dense), np.bool_)
            left[first] = False
            slots, dense = slots[left], dense[left]
        self._list_each(slots, dense)

    def _list_distinct(self, slots: Ints, dense: NDArray[np.int32]) -> None:
        stamps = self.stamp.take(self._postings.take(dense, axis=0))
        at = stamps.argmin(axis=1)
        oldest, mine, floor = stamps[np.arange(len(at)), at], self.stamp.take(slots), self._floor.take(dense)
        # What has to go is the oldest of those listed and the new one; none is as old as one that went before.
        young = (mine > floor).nonzero()[0]
        self._floor[dense.take(young)] = np.maximum(floor, np.minimum(oldest, mine)).take(young)
        put = ((mine > floor) & (oldest < mine)).nonzero()[0]
        self._postings[dense.take(put), at.take(put)] = slots.take(put)

    def _list_each(self, slots: Ints, dense: NDArray[np.int32]) -> None:
        """The same one by one: of few it is the quicker way."""
        postings, stamp, floor = self._postings, self.stamp, self._floor
        for slot, item in zip(slots.tolist(), dense.tolist(), strict=True):
            listed = postings[item]
            stamps = stamp.take(listed)
            at = int(stamps.argmin())
            oldest, mine = int(stamps[at]), int(stamp[slot])
            if mine <= floor[item]:
                continue
            floor[item] = max(int(floor[item]), min(oldest, mine))
            if oldest < mine:
                listed[at] = slot

    def _unlist(self, slots: Ints, dense: NDArray[np.int32]) -> None:
        """Let each item [n] no longer find a session."""
        row, at = (self._postings.take(dense, axis=0) == slots[:, None]).nonzero()
        self._postings[dense[row], at] = NONE

    def _evict(self) -> None:
        while True:
            stamp, slot = heappop(self._by_age)
            if slot in self._key and self.stamp[slot] == stamp:
                self._forget(self._key[slot])
                return

    def _forget(self, key: str) -> None:
        slot = self._slot.pop(key, None)
        if slot is None:
            return
        del self._key[slot]
        held = self.items[slot]
        held = held[held != NONE]
        self._unlist(np.full(len(held), slot), held)
        self.items[slot] = NONE
        self.sizes[slot] = 0
        self.stamp[slot] = _NEVER
        self.owner[slot] = 0
        self._free.append(slot)

    def _slot_of(self, key: str) -> int:
        slot = self._slot.get(key)
        if slot is not None:
            return slot
        slot = self._free.pop() if self._free else len(self._slot)
        self._slot[key] = slot
        self._key[slot] = key
        if slot >= len(self.stamp) - 1:
            self.items = _doubled(self.items, NONE)
            self.steps = _doubled(self.steps, 0)
            self.sizes = _doubled(self.sizes, 0)
            self.stamp = _doubled(self.stamp, _NEVER)
            self.owner = _doubled(self.owner, 0)
            self._tie = _doubled(self._tie, 0)
        self._tie[slot] = key64(key) >> (64 - _TIE_BITS)
        self.owner[slot] = owner_of(key)
        return slot

    def _fit(self, dense: int) -> None:
        while dense >= len(self._postings) - 1:
            self._postings = _doubled(self._postings, NONE)
            self._floor = _doubled(self._floor, _NEVER)

    def held(self) -> Iterator[tuple[str, list[int], list[int]]]:
        """Of each session its key, items and steps, in order of key: for tests and inspection."""
        self._settle()
        for key in sorted(self._slot):
            slot = self._slot[key]
            count = int((self.items[slot] != NONE).sum())
            yield key, self.items[slot, :count].tolist(), self.steps[slot, :count].tolist()


def _doubled(array: NDArray[_T], empty: int) -> NDArray[_T]:
    new = np.full((2 * len(array), *array.shape[1:]), empty, array.dtype)
    new[: len(array)] = array
    return new
