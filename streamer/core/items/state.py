"""What is known of an item: the row of table ``items``, sums of all that users did with it.

Counts, trend and popularity, co-visitation and attributes combine to the same result in any order and grouping; only
pruning a long list of neighbours depends on when it happens, and that is in the order of the topic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from streamer.core.decay import EMPTY, ERA_HALF_LIVES, FRACTION_BITS, add
from streamer.core.decay import level as level_of

if TYPE_CHECKING:
    from streamer.core.decay import Sum

WEIGHT_BITS: Final = 8
ONE_VIEW: Final = 1 << WEIGHT_BITS
"""The fixed-point one of trend, popularity and co-visitation: the interest that one view shows."""

MOST: Final = 2**62
"""Where sums end, since tables and topics hold integers of 64 bits."""

LARGEST: Final = 2**53
"""The largest count, and the latest time."""

# Bytes that decode may still be no row: what is refused here would stop whoever adds it up or ranks by it.
Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
Key = Annotated[int, msgspec.Meta(ge=0)]
Era = Annotated[int, msgspec.Meta(ge=-(2**40), le=2**40)]
Amount = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)]

Words = tuple[str, str, str]
"""Category, brand and title, "" where nothing is told."""

_NO_WORDS: Final[Words] = ("", "", "")


class ItemState(msgspec.Struct, array_like=True, gc=False):
    """The sums of one item. Times are milliseconds since the epoch, 0 if there is none.

    ``item`` is its id, empty while only neighbours have mentioned it. ``views``, ``carts``, ``purchases``, ``others``
    count event lines. ``words`` are those of ``words_ms``; of several, the fullest count, then the newest.
    ``price_cents`` is the newest price told, 0 for none. ``trend`` and ``popularity`` are landmark sums of interest in
    1/256 of a view. ``pairs`` and ``older_pairs`` are amounts by neighbour key in the era ``pair_era`` and in the one
    before; these two dicts are never changed, only replaced, so that a shallow copy is a copy.
    """

    key: Key
    item: str = ""
    views: Count = 0
    carts: Count = 0
    purchases: Count = 0
    others: Count = 0
    first_ms: Count = 0
    last_ms: Count = 0
    words: Words = _NO_WORDS
    words_ms: Count = 0
    price_cents: Count = 0
    price_ms: Count = 0
    trend: tuple[Era, Amount, Amount] = EMPTY
    popularity: tuple[Era, Amount, Amount] = EMPTY
    pair_era: Era = 0
    pairs: dict[int, int] = {}
    older_pairs: dict[int, int] = {}

    def count(  # noqa: PLR0917 -- a row of columns
        self,
        views: int,
        carts: int,
        purchases: int,
        others: int,
        first_ms: int,
        last_ms: int,
        trend: tuple[int, int],
        popularity: tuple[int, int],
    ) -> None:
        """Add what event lines between two times came to; ``trend`` and ``popularity`` are (era, amount)."""
        self.views += views
        self.carts += carts
        self.purchases += purchases
        self.others += others
        if not self.first_ms or first_ms < self.first_ms:
            self.first_ms = first_ms
        self.last_ms = max(self.last_ms, last_ms)
        self.trend = _bounded(add(self.trend, *trend))
        self.popularity = _bounded(add(self.popularity, *popularity))

    def tell(self, item: str, words: Words, words_ms: int, price_cents: int, price_ms: int) -> None:
        """Take over the id, and attributes if they say more, or as much and newer; ties go to the greater."""
        self.item = item or self.item
        self.words, self.words_ms = fuller(self.words, self.words_ms, words, words_ms)
        self.price_cents, self.price_ms = newer_price(self.price_cents, self.price_ms, price_cents, price_ms)

    def relate(self, era: int, amounts: dict[int, int]) -> None:
        """Add amounts of an era to the neighbours'."""
        if era > self.pair_era:
            self.older_pairs = self.pairs if era == self.pair_era + 1 else {}
            self.pairs = {}
            self.pair_era = era
        if era == self.pair_era:
            self.pairs = _added(self.pairs, amounts)
        elif era == self.pair_era - 1:
            self.older_pairs = _added(self.older_pairs, amounts)

    def neighbours(self) -> dict[int, int]:
        """Amounts by neighbour, in ``pair_era``."""
        if not self.older_pairs:
            return self.pairs
        total = dict(self.pairs)
        for neighbour, amount in self.older_pairs.items():
            total[neighbour] = total.get(neighbour, 0) + (amount >> ERA_HALF_LIVES)
        return total

    @property
    def pair_level(self) -> float:
        """The level (``decay.level``) of one unit of ``neighbours``."""
        return float(ERA_HALF_LIVES * self.pair_era - FRACTION_BITS - WEIGHT_BITS)

    def levels(self) -> tuple[float, float]:
        """The levels (``decay.level``) of trend and popularity, in views."""
        return level_of(self.trend) - WEIGHT_BITS, level_of(self.popularity) - WEIGHT_BITS

    def prune(self, to: int) -> None:
        """Keep the ``to`` strongest neighbours."""
        kept = strongest(self.neighbours(), to)
        self.pairs = {k: v for k, v in self.pairs.items() if k in kept}
        self.older_pairs = {k: v for k, v in self.older_pairs.items() if k in kept}


def row_key(key: int) -> str:
    """An item's key as tables and topics spell it: 16 hexadecimal digits."""
    return f"{key:016x}"


def item_partition(key: int, partitions: int) -> int:
    """The partition of topics ``item-updates`` and ``item-index`` that an item belongs to."""
    return key % partitions


def fuller(words: Words, words_ms: int, other: Words, other_ms: int) -> tuple[Words, int]:
    """Of two tellings of an item the one that counts, and when: the fullest, then the newest, then the greater."""
    if other == words:
        return words, max(words_ms, other_ms)
    if (3 - other.count(""), other_ms, other) > (3 - words.count(""), words_ms, words):
        return other, other_ms
    return words, words_ms


def newer_price(cents: int, price_ms: int, other: int, other_ms: int) -> tuple[int, int]:
    """Of two prices the newest told, of one moment the greater, and when; 0 is none."""
    if other and (other_ms, other) > (price_ms, cents):
        return other, other_ms
    return cents, price_ms


def strongest(amounts: dict[int, int], count: int) -> dict[int, int]:
    """The ``count`` entries of the greatest amounts, ties to the smaller key, in no order of note."""
    if len(amounts) <= count:
        return amounts
    least = sorted(amounts.values(), reverse=True)[count - 1]
    kept = {k: v for k, v in amounts.items() if v >= least}
    if len(kept) > count:
        ties = sorted((k for k, v in kept.items() if v == least), reverse=True)
        for key in ties[: len(kept) - count]:
            del kept[key]
    return kept


def _added(amounts: dict[int, int], more: dict[int, int]) -> dict[int, int]:
    total = dict(amounts)
    get = total.get
    for neighbour, amount in more.items():
        total[neighbour] = min(get(neighbour, 0) + amount, MOST)
    return total


def _bounded(total: Sum) -> Sum:
    """``total``, or what of it 64 bits hold: 12 hours of 500 views a second are beyond them at the end of an era."""
    era, current, previous = total
    if -MOST < current < MOST and -MOST < previous < MOST:
        return total
    return era, max(-MOST, min(MOST, current)), max(-MOST, min(MOST, previous))
