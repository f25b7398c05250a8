"""Which items are called what: an inverted index of the words of titles, brands and categories.

A replica's own, made of what the item index is told. Words are 32-bit hashes; an item has at most ``WIDTH`` of them, in
one row of an array, so that it takes so many bytes an item however long titles are. The inverted side is a sorted
list of (word, item) and a short one of what came since; it is put in order when somebody searches, so that shops
without searches pay for none of it. Two words of one hash (of ten thousand, a chance of
1 %) count as one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from streamer.core.events import key64
from streamer.core.words import words_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]
    Dense = NDArray[np.int64]

WIDTH: Final = 24
_NO_WORD: Final = 0
_FIRST_CAPACITY: Final = 64
_SHORT: Final = 1024
_T = TypeVar("_T", bound=np.generic)


@lru_cache(maxsize=1 << 16)
def word_key(word: str) -> int:
    """32 bits that stand for a word; never 0, which is none."""
    return (key64(word) & 0xFFFF_FFFF) or 1


class TitleIndex:
    """``words`` uint32 [items, WIDTH], 0 behind the last; ``lengths`` uint8 [items]: how many."""

    def __init__(self) -> None:
        self.words = np.zeros((_FIRST_CAPACITY, WIDTH), np.uint32)
        self.lengths = np.zeros(_FIRST_CAPACITY, np.uint8)
        self._renamed = np.zeros(_FIRST_CAPACITY, np.bool_)
        self._any_renamed = False
        self._pending: dict[int, str] = {}
        self._sorted_words = np.zeros(0, np.uint32)
        self._sorted_items = np.zeros(0, np.int32)
        self._new_words: list[Words] = []
        self._new_items: list[NDArray[np.int32]] = []
        self._new = 0
        self.total = 0
        """Words of all items."""
        self.named = 0
        """Items with any."""

    def tell(self, item: int, text: str) -> None:
        """An item (dense) is called by this text from now on."""
        if text or item in self._pending or (item < len(self.lengths) and self.lengths[item]):
            self._pending[item] = text

    def holding(self, word: int) -> Dense:
        """The items with a word, in no order that says anything."""
        self._settle()
        low = np.searchsorted(self._sorted_words, np.uint32(word), side="left")
        high = np.searchsorted(self._sorted_words, np.uint32(word), side="right")
        items = self._sorted_items[low:high]
        new = [items[words == word] for words, items in zip(self._new_words, self._new_items, strict=True)]
        found: Dense = np.concatenate((items, *new)).astype(np.int64)
        if self._any_renamed and len(renamed := self._renamed.take(found).nonzero()[0]):
            # Only such an item may be listed twice under a word.
            found = np.unique(found)
            renamed = self._renamed.take(found).nonzero()[0]
            # It is still listed under the words that it had.
            gone = ~(self.words.take(found.take(renamed), axis=0) == word).any(axis=1)
            found = np.delete(found, renamed[gone])
        return found

    def _settle(self) -> None:
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        self._fit(max(pending))
        words, items = list[int](), list[int]()
        for item, text in pending.items():
            keys = list(dict.fromkeys([word_key(word) for word in words_of(text, WIDTH)]))
            before = int(self.lengths[item])
            if before == len(keys) and self.words[item, :before].tolist() == keys:
                continue
            self.total += len(keys) - before
            self.named += bool(keys) - bool(before)
            if before:
                self._renamed[item] = self._any_renamed = True
            self.words[item] = _NO_WORD
            self.words[item, : len(keys)] = keys
            self.lengths[item] = len(keys)
            words += keys
            items += [item] * len(keys)
        self._new_words.append(np.array(words, np.uint32))
        self._new_items.append(np.array(items, np.int32))
        self._new += len(words)
        if self._new > _SHORT + len(self._sorted_words) // 8:
            self._sort()
        elif len(self._new_words) > 8:
            self._new_words, self._new_items = [np.concatenate(self._new_words)], [np.concatenate(self._new_items)]

    def _sort(self) -> None:
        item, at = np.nonzero(self.words)
        words = self.words[item, at]
        order = np.argsort(words, kind="stable")
        self._sorted_words, self._sorted_items = words[order], item[order].astype(np.int32)
        self._new_words, self._new_items, self._new = [], [], 0
        self._renamed[:] = self._any_renamed = False

    def _fit(self, item: int) -> None:
        while item >= len(self.lengths):
            self.words, self.lengths = _doubled(self.words), _doubled(self.lengths)
            self._renamed = _doubled(self._renamed)


def _doubled(array: NDArray[_T]) -> NDArray[_T]:
    new = np.zeros((2 * len(array), *array.shape[1:]), array.dtype)
    new[: len(array)] = array
    return new
