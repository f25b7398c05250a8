"""How alike items are by the vectors their catalog brings along, whatever they were made of: images, texts, both.

A vector is projected by a fixed matrix of signs to a few numbers, which keeps angles (Achlioptas, "Database-friendly
random projections", JCSS 66, 2003), and each is rounded to a byte: with 64 of them an item takes 68 bytes however long
vectors are. How long a vector was is not kept, since only angles are compared. All products are of small integers and
therefore exact in whatever order a library adds them up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import shake_128
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.content.shoppers import BY_PLACE, NEWEST, ratio, runs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.queries import Recents
    from streamer.core.retrieval_settings import ContentSettings

    Bytes = NDArray[np.int8]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Singles = NDArray[np.float32]

_SEED: Final = b"streamer: the signs that catalog vectors are projected with"
_FINE: Final = float(1 << 20)
_BYTE: Final = 127.0
_FIRST: Final = 64
_SMALL: Final = 1 << 17
"""Products that a BLAS makes in the thread it is called from. More it shares out, and waits for a core to be free."""


@dataclass(frozen=True, slots=True)
class Directions:
    """Shoppers as vectors of bytes [2 * shoppers, size], of all newest items and then of the newest alone, and their
    ``length`` [2 * shoppers], 0 where no item has a vector.
    """

    shoppers: int
    vector: Bytes
    length: Floats


class EmbeddingIndex:
    """``vectors`` int8 [capacity, size] and ``length`` float32 [capacity], 0 of an item without; no entries before the
    first vector. The last entry is kept empty: it is what ``NONE``, which is -1, reads.
    """

    def __init__(self, settings: ContentSettings) -> None:
        self.numbers = settings.vector_numbers
        """Of a vector as it comes; 0 if none is taken."""
        self.size = min(self.numbers, settings.vector_size)
        self.vectors = np.zeros((0, self.size), np.int8)
        self.length = np.zeros(0, np.float32)
        self.held = 0
        """Items with a vector."""

    def refuses(self, vector: Sequence[float]) -> str:
        """What is wrong with a vector, empty if nothing."""
        if vector and self.numbers and len(vector) != self.numbers:
            return f"a vector of {len(vector)} numbers, where core.retrieval.content.vector_numbers is {self.numbers}"
        return ""

    def tell(self, item: int, vector: Sequence[float]) -> None:
        """An item (dense) has this vector from now on; an empty one, or one of zeros, is none."""
        had = item < len(self.length) - 1 and bool(self.length[item])
        largest = max(map(abs, vector)) if vector and self.numbers else 0.0
        if not largest and not had:
            return
        while item >= len(self.length) - 1:
            more = max(len(self.length), _FIRST)
            self.vectors = np.concatenate((self.vectors, np.zeros((more, self.size), np.int8)))
            self.length = np.concatenate((self.length, np.zeros(more, np.float32)))
        self.vectors[item] = self._projected(np.array(vector, np.float64), largest) if largest else 0
        self.length[item] = np.sqrt((self.vectors[item].astype(np.float64) ** 2).sum())
        self.held += bool(self.length[item]) - had

    def _projected(self, vector: Floats, largest: float) -> Floats:
        # Whole numbers, whose sums are exact.
        numbers = np.rint(vector * (_FINE / largest))
        if self.numbers > self.size:
            numbers = numbers @ self._signs
        projected: Floats = np.rint(numbers * (_BYTE / max(float(np.abs(numbers).max()), 1.0)))
        return projected

    @cached_property
    def _signs(self) -> Floats:
        """-1 or 1 [numbers, size], drawn once and for all."""
        count = self.numbers * self.size
        bits = np.unpackbits(np.frombuffer(shake_128(_SEED).digest(-(-count // 8)), np.uint8))[:count]
        signs: Floats = bits.reshape(self.numbers, self.size).astype(np.float64) * 2.0 - 1.0
        return signs

    def directions(self, count: int, recents: Recents) -> Directions | None:
        """The shoppers of so many queries, ``None`` if no item has a vector."""
        if not self.held:
            return None
        rows = (recents.place < NEWEST).nonzero()[0]
        place, query = recents.place.take(rows), recents.query.take(rows)
        vectors, length = self.many(recents.item.take(rows))
        added = np.zeros((NEWEST, count, self.size))
        added[place, query] = vectors * (BY_PLACE.take(place) / np.maximum(length, 1.0))[:, None]
        total = np.zeros((2 * count, self.size))
        # Added up in the order of the places, so that no other query shows in a sum.
        for each in added:
            total[:count] += each
        total[count:] = added[0]
        largest = np.abs(total).max(axis=1)
        bytes_ = np.rint(total * np.where(largest > 0.0, _BYTE / np.maximum(largest, 1e-9), 0.0)[:, None])
        return Directions(count, bytes_.astype(np.int8), np.sqrt((bytes_ * bytes_).sum(axis=1)))

    def likeness(self, directions: Directions, query: Ints, item: Ints) -> tuple[Floats, Floats]:
        """Cosines [n] of items and the shoppers of their queries, and of items and these shoppers' newest one.

        ``query`` is sorted.
        """
        shoppers = directions.shoppers
        # Both vectors of a shopper, [shoppers, size, 2].
        both = directions.vector.reshape(2, shoppers, self.size).transpose(1, 2, 0).astype(np.float32)
        product, length = np.empty((len(item), 2), np.float32), np.empty(len(item))
        for shopper, rows in zip(both, runs_of(query, shoppers), strict=True):
            vectors, length[rows] = self.many(item[rows])
            np.matmul(vectors, shopper, out=product[rows])
        every, newest = product.T.astype(np.float64)
        return (
            ratio(every, directions.length.take(query) * length),
            ratio(newest, directions.length.take(query + shoppers) * length),
        )

    def among(self, directions: Directions, items: Ints) -> Floats:
        """Cosines [shoppers, items] of all newest items with each of some."""
        vectors, length = self.many(items)
        shoppers = directions.vector[: directions.shoppers].astype(np.float32).T
        product = np.empty((len(items), directions.shoppers), np.float32)
        rows = max(_SMALL // max(shoppers.size, 1), 1)
        for start in range(0, len(items), rows):
            np.matmul(vectors[start : start + rows], shoppers, out=product[start : start + rows])
        return ratio(product.T.astype(np.float64), directions.length[: directions.shoppers, None] * length)

    def many(self, items: Ints) -> tuple[Singles, Floats]:
        """Vectors [n, size] and lengths [n] of items; zeros of those without one."""
        at = np.where(items < len(self.length), items, -1)
        vectors, length = self.vectors.take(at, axis=0, mode="wrap"), self.length.take(at, mode="wrap")
        return vectors.astype(np.float32), length.astype(np.float64)
