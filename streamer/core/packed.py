"""Small rows packed one after another into bytes: how a profile keeps what it remembers of items and interests.

Bytes, because they cost nothing to decode, to encode, to copy and to share (they cannot change), a key is found in them
by one C call, and numpy reads many shoppers' at once. Each row begins with its key; rows are little-endian, without
padding, and unique by key.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

R = TypeVar("R", bound=tuple[int, ...])

MAX8: Final = 2**8 - 1
MAX16: Final = 2**16 - 1
MAX32: Final = 2**32 - 1
MAX63: Final = 2**63 - 1

_NUMPY: Final = {"Q": "<u8", "q": "<i8", "I": "<u4", "H": "<u2", "B": "u1"}


class Recent(NamedTuple):
    """An item of interest. ``weight``: the interest as of ``last_s`` (seconds), in 1/256 of a view; it decays since.

    ``views``, ``carts``, ``purchases`` stop counting at 65,535. ``category`` and ``brand`` are ``group_key`` of their
    names, 0 if never told; ``price_cents`` is 0 if never told.
    """

    key: int
    last_s: int
    weight: int
    views: int = 0
    carts: int = 0
    purchases: int = 0
    category: int = 0
    brand: int = 0
    price_cents: int = 0


class Affinity(NamedTuple):
    """Interest in a category or brand: a landmark sum of the profile's ``era``, in 1/256 of a view (``affinities``)."""

    key: int
    weight: int


class Bought(NamedTuple):
    """An item bought: when last and when first (seconds), and at how many moments, which stop counting at 255."""

    key: int
    time_s: int
    first_s: int
    orders: int


class Layout(Generic[R]):
    """How rows of one kind are packed. ``code``: the fields' types as ``struct`` spells them, the first the key's.

    ``size`` is a row's, in bytes. ``dtype`` is numpy's for the same rows.
    """

    __slots__ = ("_row", "_struct", "dtype", "key_size", "pack", "size", "unpack_from")

    def __init__(self, row: type[R], code: str) -> None:
        struct = Struct(f"<{code}")
        self._row, self._struct = row, struct
        self.size = struct.size
        self.key_size = Struct(f"<{code[0]}").size
        self.pack, self.unpack_from = struct.pack, struct.unpack_from
        fields: tuple[str, ...] = row._fields  # type: ignore[attr-defined]
        self.dtype = np.dtype([(name, _NUMPY[letter]) for name, letter in zip(fields, code, strict=True)])

    def find(self, packed: bytes, key: int) -> int:
        """Where the row of ``key`` begins; -1 if there is none."""
        mark = key.to_bytes(self.key_size, "little")
        at = packed.find(mark)
        # The key's bytes may also turn up inside or across rows.
        while at > 0 and at % self.size:
            at = packed.find(mark, at + 1)
        return at

    def rows(self, packed: bytes) -> list[R]:
        """All rows, in order."""
        make = self._row._make  # type: ignore[attr-defined]
        return [make(fields) for fields in self._struct.iter_unpack(packed)]

    def keys(self, packed: bytes) -> list[int]:
        """The keys of all rows, in order: a fraction of the cost of the rows."""
        keys: list[int] = np.frombuffer(packed, self.dtype)["key"].tolist()
        return keys

    def packed(self, rows: Iterable[R]) -> bytes:
        """The bytes of rows."""
        pack = self.pack
        return b"".join([pack(*row) for row in rows])


RECENT: Final = Layout(Recent, "QIIHHHIII")
AFFINITY: Final = Layout(Affinity, "Iq")
BOUGHT: Final = Layout(Bought, "QIIB")
