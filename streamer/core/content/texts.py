"""How alike items are by what is said of them: TF-IDF over hashed words, and a shopper as their newest items' words.

An item is at most ``text_words`` distinct words: the steps of its category, brand and price band as words of kinds of
their own, then those of title, tags and description. Words are hashed into 65,535 buckets (Weinberger et al., "Feature
hashing for large scale multitask learning", ICML 2009), 2 bytes each. A word is worth the logarithm of how few items
have it (Spärck Jones, "A statistical interpretation of term specificity", 1972), as of now: it is not stored with an
item. All is counted in integers, so that no sum depends on an order, and replicas with the same items agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamer.core.content.shoppers import BY_PLACE, NEWEST, ratio, runs_of
from streamer.core.exactmath import log2
from streamer.core.titles import word_key
from streamer.core.words import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.queries import Recents

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Words = NDArray[np.intp]

_BUCKETS: Final = 1 << 16
_NO_WORD: Final = 0
_ONE: Final = 1024
"""The fixed-point one of what a word is worth, in bits."""
_UNIT: Final = 1 << 16
"""The fixed-point one of a shopper's weights."""
_STEPS: Final = 3
_FIRST: Final = 64


class Said(NamedTuple):
    """What is said of an item: ``band`` is its price's, empty if there is none."""

    category: str
    brand: str
    band: str
    title: str
    more: str


@dataclass(frozen=True, slots=True)
class Tastes:
    """Shoppers as words: ``weight`` [2 * shoppers, columns + 1] of all newest items and then of the newest alone, and
    its ``length`` [2 * shoppers]; ``column`` [buckets] tells each word's, the last for those of no shopper.
    """

    shoppers: int
    weight: Floats
    length: Floats
    column: NDArray[np.int32]


class TextIndex:
    """``words`` uint16 [capacity, text_words], 0 behind the last."""

    def __init__(self, text_words: int) -> None:
        self.words = np.zeros((_FIRST, text_words), np.uint16)
        self.described = 0
        """Items with any word."""
        self._pending: dict[int, Said] = {}
        self._counts = np.zeros(_BUCKETS, np.int64)
        self._levels = np.zeros(_BUCKETS)
        """The logarithm of each count, a whole number; of no word ``_most``."""
        self._most = self._levels[_NO_WORD] = _ONE
        """What a word is worth that a single item has."""

    def tell(self, item: int, said: Said) -> None:
        """This is said of an item (dense) from now on."""
        if self.words.shape[1] and (any(said) or item in self._pending or self._has(item)):
            self._pending[item] = said

    def tastes(self, count: int, recents: Recents) -> Tastes | None:
        """The shoppers of so many queries, ``None`` if no item has a word."""
        self.settle()
        if not self.described:
            return None
        rows = (recents.place < NEWEST).nonzero()[0]
        place, query = recents.place.take(rows), recents.query.take(rows)
        words, worth, length = self.many(recents.item.take(rows))
        # An item's words are of length one together, and the newer item counts more.
        unit = np.rint(worth * (BY_PLACE.take(place) * _UNIT / np.maximum(length, 1.0))[:, None])
        row, at = words.nonzero()
        words, unit, place, query = words[row, at], unit[row, at], place.take(row), query.take(row)
        present = np.zeros(_BUCKETS, np.bool_)
        present[words] = True
        some = present.nonzero()[0]
        column = np.full(_BUCKETS, len(some), np.int32)
        column[some] = np.arange(len(some))
        width = len(some) + 1
        newest = (place == 0).nonzero()[0]
        where = query * width + column.take(words)
        where = np.concatenate((where, where.take(newest) + count * width))
        amounts = np.concatenate((unit, unit.take(newest)))
        added: Floats = np.bincount(where, amounts, 2 * count * width).astype(np.float64, copy=False)
        weight = added.reshape(2 * count, width)
        return Tastes(count, weight, np.sqrt((weight * weight).sum(axis=1)), column)

    def likeness(self, tastes: Tastes, query: Ints, item: Ints) -> tuple[Floats, Floats]:
        """Cosines [n] of items and the shoppers of their queries, and of items and these shoppers' newest one.

        ``query`` is sorted.
        """
        every, newest, length = np.empty((3, len(item)))
        for shopper, rows in enumerate(runs_of(query, tastes.shoppers)):
            words, worth, length[rows] = self.many(item[rows])
            at = tastes.column.take(words).astype(np.intp)
            np.vecdot(tastes.weight[shopper].take(at), worth, out=every[rows])
            np.vecdot(tastes.weight[shopper + tastes.shoppers].take(at), worth, out=newest[rows])
        return (
            ratio(every, tastes.length.take(query) * length),
            ratio(newest, tastes.length.take(query + tastes.shoppers) * length),
        )

    def among(self, tastes: Tastes, items: Ints) -> Floats:
        """Cosines [shoppers, items] of all newest items with each of some."""
        words, worth, length = self.many(items)
        at = tastes.column.take(words).astype(np.intp)
        found = np.empty((tastes.shoppers, len(items)))
        for shopper, cosines in enumerate(found):
            np.vecdot(tastes.weight[shopper].take(at), worth, out=cosines)
        found /= np.maximum(length, 1.0)
        found /= np.maximum(tastes.length[: tastes.shoppers], 1.0)[:, None]
        return found

    def many(self, items: Ints) -> tuple[Words, Floats, Floats]:
        """Words [n, text_words], what they are worth, and the length of that [n]; all 0 of items without any."""
        words = self.words.take(np.where(items < len(self.words), items, -1), axis=0, mode="wrap").astype(np.intp)
        worth = self._levels.take(words)
        np.subtract(self._most, worth, out=worth)
        return words, worth, np.sqrt(np.vecdot(worth, worth))

    def settle(self) -> None:
        """Put what was told into the arrays."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        while max(pending) >= len(self.words) - 1:
            self.words = np.concatenate((self.words, np.zeros_like(self.words)))
        gone, come = list[int](), list[int]()
        for item, said in pending.items():
            before, words = self.words[item].tolist(), self._words(said)
            if before != words:
                self.described += bool(words[0]) - bool(before[0])
                self.words[item] = words
                gone += before
                come += words
        np.subtract.at(self._counts, gone, 1)
        np.add.at(self._counts, come, 1)
        changed = np.array(gone + come, np.int64)
        self._levels[changed] = np.trunc(log2(np.maximum(self._counts.take(changed), 1).astype(np.float64)) * _ONE)
        self._most = self._levels[_NO_WORD] = int(log2(self.described + 1.0) * _ONE) + _ONE

    def _has(self, item: int) -> bool:
        return item < len(self.words) and bool(self.words[item, 0])

    def _words(self, said: Said) -> list[int]:
        """Buckets, as many as an item has, 0 behind the last."""
        steps = said.category.casefold().split(".")
        named = [f"category {'.'.join(steps[: n + 1])}" for n in range(len(steps))][-_STEPS:] if said.category else []
        named += [f"brand {said.brand.casefold()}"] if said.brand else []
        named += [f"band {said.band}"] if said.band else []
        width = self.words.shape[1]
        words = [*named, *words_of(f"{said.title} {said.more}", width)]
        found = list(dict.fromkeys([word_key(word) % (_BUCKETS - 1) + 1 for word in words]))[:width]
        return found + [_NO_WORD] * (width - len(found))
