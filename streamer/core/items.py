"""What is known of items: tallies that add up, from the user tasks' deltas to the item role's table.

An ``ItemTally`` is at once what one user task saw of an item within a commit and, as part of ``ItemState``, all that
was ever seen: a sum, and ``absorb`` adds one to another. Counts, trend and popularity, co-visitation and attributes
combine to the same result in any order and grouping; only pruning a long list of neighbours depends on when it happens,
and that is in the order of the topic.

Co-visitation is symmetric: items a user touched within a window of each other are each other's neighbours, weighted by
the interest the later event shows and by how many items lie between.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from streamer.core.decay import EMPTY, ERA_HALF_LIVES, FRACTION_BITS, Sum, add, landmark, merge
from streamer.core.decay import level as level_of
from streamer.core.events import EVENT_TYPES
from streamer.core.profile import newest_items

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from streamer.core.events import Event
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import ItemSettings

BLOCK_VERSION: Final = 2
INDEX_ROW_VERSION: Final = 1

_WEIGHT_BITS: Final = 8
_ONE_VIEW: Final = 1 << _WEIGHT_BITS
# By event type: its weight, and what a line of it adds to views, carts, purchases and others.
_TYPES: Final = {
    name: (
        round(e.weight * _ONE_VIEW),
        (
            int(e.kind == "view"),
            int(e.kind == "cart"),
            int(e.kind == "purchase"),
            int(e.kind not in {"view", "cart", "purchase"}),
        ),
    )
    for name, e in EVENT_TYPES.items()
}
_MAX_CENTS: Final = 2**40
# What a partner 0, 1, 2 … items back still counts, in 1/256.
_DISTANCE: Final = tuple(round(256 * 0.75**n) for n in range(64))
_LOOK_BACK: Final = 8
_NO_WORDS: Final = ("", "", "")


# Bytes that decode may still be no row: what is refused here would stop whoever adds it up or ranks by it.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Key = Annotated[int, msgspec.Meta(ge=0)]
Era = Annotated[int, msgspec.Meta(ge=-(2**40), le=2**40)]
Amount = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
Level = Annotated[float, msgspec.Meta(le=2.0**53)]
_MOST: Final = 2**62
"""Where sums end, since tables and topics hold integers of 64 bits."""


class ItemTally(msgspec.Struct, array_like=True, gc=False):
    """The sums of one item. Times are milliseconds since the epoch, 0 if there is none.

    ``item`` is its id, empty while only neighbours have mentioned it. ``views``, ``carts``, ``purchases``, ``others``
    count event lines. ``words`` (category, brand, title) are those of ``words_ms``; of several, the fullest counts,
    then the newest. ``price_cents`` is the newest price told, 0 for none. ``trend`` and ``popularity`` are landmark
    sums of interest in 1/256 of a view.
    """

    key: Key
    item: str = ""
    views: Count = 0
    carts: Count = 0
    purchases: Count = 0
    others: Count = 0
    first_ms: Count = 0
    last_ms: Count = 0
    words: tuple[str, str, str] = _NO_WORDS
    words_ms: Count = 0
    price_cents: Count = 0
    price_ms: Count = 0
    trend: tuple[Era, Amount, Amount] = EMPTY
    popularity: tuple[Era, Amount, Amount] = EMPTY

    def absorb(self, other: ItemTally) -> None:
        """Add another tally of the same item to this one."""
        self.item = other.item or self.item
        self.views += other.views
        self.carts += other.carts
        self.purchases += other.purchases
        self.others += other.others
        if not self.first_ms or other.first_ms < self.first_ms:
            self.first_ms = other.first_ms
        self.last_ms = max(self.last_ms, other.last_ms)
        self.tell(other.words, other.words_ms, other.price_cents, other.price_ms)
        self.trend = _bounded(merge(self.trend, other.trend))
        self.popularity = _bounded(merge(self.popularity, other.popularity))

    def tell(self, words: tuple[str, str, str], words_ms: int, price_cents: int, price_ms: int) -> None:
        """Take over attributes if they say more, or as much and newer; ties go to the greater words and price."""
        if words == self.words:
            self.words_ms = max(self.words_ms, words_ms)
        elif (3 - words.count(""), words_ms, words) > (3 - self.words.count(""), self.words_ms, self.words):
            self.words, self.words_ms = words, words_ms
        if price_cents and (price_ms > self.price_ms or (price_ms == self.price_ms and price_cents > self.price_cents)):
            self.price_cents, self.price_ms = price_cents, price_ms


def _bounded(total: Sum) -> Sum:
    """``total``, or what of it 64 bits hold: 12 hours of 500 views a second are beyond them at the end of an era."""
    era, current, previous = total
    if -_MOST < current < _MOST and -_MOST < previous < _MOST:
        return total
    return era, max(-_MOST, min(_MOST, current)), max(-_MOST, min(_MOST, previous))


class ItemState(ItemTally, array_like=True, gc=False):
    """The row of table ``items``: an item's sums, and its neighbours.

    ``pairs`` and ``older_pairs`` are amounts by neighbour key in the era ``pair_era`` and in the one before.
    """

    pair_era: Era = 0
    pairs: dict[int, int] = {}
    older_pairs: dict[int, int] = {}

    def relate(self, era: int, amounts: dict[int, int]) -> None:
        """Add amounts of an era to the neighbours'."""
        if era > self.pair_era:
            self.older_pairs = self.pairs if era == self.pair_era + 1 else {}
            self.pairs = {}
            self.pair_era = era
        if era == self.pair_era:
            pairs = self.pairs
        elif era == self.pair_era - 1:
            pairs = self.older_pairs
        else:
            return
        get = pairs.get
        for neighbour, amount in amounts.items():
            total = get(neighbour, 0) + amount
            pairs[neighbour] = total if total < _MOST else _MOST

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
        return float(ERA_HALF_LIVES * self.pair_era - FRACTION_BITS - _WEIGHT_BITS)

    def levels(self) -> tuple[float, float]:
        """The levels (``decay.level``) of trend and popularity, in views."""
        return level_of(self.trend) - _WEIGHT_BITS, level_of(self.popularity) - _WEIGHT_BITS

    def prune(self, to: int) -> None:
        """Keep the ``to`` strongest neighbours."""
        kept = strongest(self.neighbours(), to)
        self.pairs = {k: v for k, v in self.pairs.items() if k in kept}
        self.older_pairs = {k: v for k, v in self.older_pairs.items() if k in kept}


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


Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Pairs = dict[int, dict[int, dict[int, int]]]
"""By era, by item key, the amount of each neighbour key."""


class PairColumns(msgspec.Struct, array_like=True):
    """Pairs of one era, sorted by key, then neighbour, each once: three columns of little-endian 64-bit integers."""

    keys: bytes
    neighbours: bytes
    amounts: bytes

    @staticmethod
    def summed(keys: Keys, neighbours: Keys, amounts: Ints) -> PairColumns:
        """Columns of pairs in any order, equal ones added up."""
        order = np.lexsort((neighbours, keys))
        keys, neighbours, amounts = keys[order], neighbours[order], amounts[order]
        first = np.ones(len(keys), dtype=bool)
        first[1:] = (keys[1:] != keys[:-1]) | (neighbours[1:] != neighbours[:-1])
        at = np.flatnonzero(first)
        sums = np.add.reduceat(amounts, at) if len(at) else amounts
        return PairColumns(
            keys[at].astype("<u8").tobytes(), neighbours[at].astype("<u8").tobytes(), sums.astype("<i8").tobytes()
        )

    def arrays(self) -> tuple[Keys, Keys, Ints]:
        """The columns. Raises ``ValueError`` if they do not fit together."""
        keys, neighbours = np.frombuffer(self.keys, "<u8"), np.frombuffer(self.neighbours, "<u8")
        amounts = np.frombuffer(self.amounts, "<i8")
        if not len(keys) == len(neighbours) == len(amounts):
            raise ValueError("the columns of pairs differ in length")
        if len(amounts) and not 0 <= amounts.min() <= amounts.max() <= _MOST:
            raise ValueError("an amount of a pair is out of range")
        return keys, neighbours, amounts

    def by_key(self) -> dict[int, dict[int, int]]:
        """By item key, the amount of each neighbour key."""
        keys, neighbours, amounts = self.arrays()
        starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1]))) if len(keys) else keys.astype(int)
        ends = [*starts[1:].tolist(), len(keys)]
        near, many = neighbours.tolist(), amounts.tolist()
        return {
            key: dict(zip(near[start:end], many[start:end], strict=True))
            for key, start, end in zip(keys[starts].tolist(), starts.tolist(), ends, strict=True)
        }


class Block(msgspec.Struct, array_like=True):
    """What one user task tells one item partition in one commit: tallies sorted by key, and pairs by era."""

    version: int
    tallies: list[ItemTally]
    pairs: dict[Era, PairColumns]


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE_BLOCK: Final = msgspec.msgpack.Decoder(Block).decode


def touched_before(profile: Profile | None, time_ms: int, settings: ItemSettings) -> list[int]:
    """The keys of the items that an event at that time is related to, newest last: the shopper's newest few."""
    if profile is None:
        return []
    return newest_items(profile, _LOOK_BACK, time_ms // 1000 - settings.pair_window_s)


class ItemDeltas:
    """What a user task has seen of items since its last commit. Times are taken to the second.

    ``tallies``: by item key. Pairs are only noted down, one way, and added up when they are asked for.
    """

    __slots__ = ("_amounts", "_noted", "_second", "tallies")

    def __init__(self) -> None:
        self.tallies: dict[int, ItemTally] = {}
        self._noted: dict[int, tuple[list[int], list[int], list[int]]] = {}
        self._second = -1
        self._amounts = (0, 0, 0, 0)

    def __len__(self) -> int:
        """How many items have news of their own."""
        return len(self.tallies)

    def add(self, event: Event, before: Sequence[int], settings: ItemSettings) -> None:
        """Count an event's lines and relate them to the items its user touched before (``touched_before``)."""
        lines = event.lines
        if not lines:
            return
        weight, counts = _TYPES[event.type]
        second = event.time // 1000
        if second != self._second:
            # Events come in bursts of the same second: what it is worth is worked out once.
            self._second = second
            self._amounts = (
                *landmark(second * 1000, settings.trend_half_life_ms),
                *landmark(second * 1000, settings.interest_half_life_ms),
            )
        trend_era, trend, interest_era, interest = self._amounts
        time = event.time
        tallies = self.tallies
        trend *= weight
        interest *= weight
        for line in lines:
            words = (line.category, line.brand, line.title)
            cents = line.price * 100
            cents = round(cents) if 0.5 < cents < _MAX_CENTS else 0
            tally = tallies.get(line.key)
            if tally is None:
                tallies[line.key] = ItemTally(
                    line.key,
                    line.item,
                    *counts,
                    time,
                    time,
                    words,
                    time,
                    cents,
                    time if cents else 0,
                    (trend_era, trend, 0),
                    (interest_era, interest, 0),
                )
                continue
            if time > tally.last_ms:
                tally.last_ms = time
            elif time < tally.first_ms:
                tally.first_ms = time
            tally.views += counts[0]
            tally.carts += counts[1]
            tally.purchases += counts[2]
            tally.others += counts[3]
            tally.tell(words, time, cents, time)
            tally.trend = add(tally.trend, trend_era, trend)
            tally.popularity = add(tally.popularity, interest_era, interest)
        if weight > 0 and (before or len(lines) > 1):
            self._relate(event, list(before), weight, settings)

    def _relate(self, event: Event, before: list[int], weight: int, settings: ItemSettings) -> None:
        _, _, era, amount = self._amounts
        amount *= weight
        noted = self._noted.get(era)
        if noted is None:
            noted = self._noted[era] = ([], [], [])
        keys, partners, shares = noted
        limit = settings.pair_partners
        for line in event.lines[: settings.pair_lines]:
            key = line.key
            if key in before:
                # A second look in a row says nothing new of what goes with what; a cart or purchase does.
                if before[-1] == key and weight <= _ONE_VIEW:
                    continue
                before.remove(key)
            for partner, distance in zip(before[: -limit - 1 : -1], _DISTANCE, strict=False):
                keys.append(key)
                partners.append(partner)
                shares.append(amount * distance >> 8)
            before.append(key)

    def pairs(self) -> Pairs:
        """The pairs, both ways."""
        pairs: Pairs = {}
        for era, (keys, partners, shares) in self._noted.items():
            of_era = pairs[era] = {}
            for key, partner, share in zip(keys, partners, shares, strict=True):
                mine, theirs = of_era.setdefault(key, {}), of_era.setdefault(partner, {})
                mine[partner] = mine.get(partner, 0) + share
                theirs[key] = theirs.get(key, 0) + share
        return pairs

    def blocks(self, partitions: int) -> dict[int, bytes]:
        """A block for each item partition (``item_partition``) that has news, in order of partition."""
        blocks: dict[int, Block] = {}

        def of(partition: int) -> Block:
            block = blocks.get(partition)
            if block is None:
                block = blocks[partition] = Block(BLOCK_VERSION, [], {})
            return block

        for key in sorted(self.tallies):
            of(item_partition(key, partitions)).tallies.append(self.tallies[key])
        for era in sorted(self._noted):
            one, other, share = self._noted[era]
            keys = np.array([*one, *other], dtype=np.uint64)
            neighbours = np.array([*other, *one], dtype=np.uint64)
            amounts = np.array([*share, *share], dtype=np.int64)
            places = keys % np.uint64(partitions)
            for partition in np.unique(places).tolist():
                here = places == partition
                of(partition).pairs[era] = PairColumns.summed(keys[here], neighbours[here], amounts[here])
        return {partition: _ENCODE(blocks[partition]) for partition in sorted(blocks)}


class Rows(Protocol):
    """The table ``items``, as the item role sees it: fresh objects, ``None`` for what is not there."""

    def get_many(self, keys: Sequence[str]) -> Sequence[ItemState | None]:
        """The rows of ``keys`` (``row_key``), in that order."""
        ...


def row_key(key: int) -> str:
    """An item's key as tables and topics spell it: 16 hexadecimal digits."""
    return f"{key:016x}"


def apply_block(block: bytes, rows: Rows, settings: ItemSettings) -> dict[int, ItemState]:
    """The rows a block changes, by item key, with its sums in them.

    Raises ``msgspec.DecodeError`` (``ValidationError`` is one) if the bytes are no block, ``ValueError`` if they are of
    a version this program does not know or do not fit together.
    """
    decoded = _decode(block)
    pairs = {era: columns.by_key() for era, columns in decoded.pairs.items()}
    return _absorb(decoded.tallies, pairs, rows, settings)


def apply_blocks(blocks: Sequence[bytes], rows: Rows, settings: ItemSettings) -> tuple[dict[int, ItemState], int]:
    """As ``apply_block`` of each, and how many could not be read and were left out.

    Combined first, so that an item which many user tasks saw is read and written once.
    """
    tallies: dict[int, ItemTally] = {}
    columns: dict[int, list[tuple[Keys, Keys, Ints]]] = {}
    refused = 0
    for block in blocks:
        try:
            decoded = _decode(block)
            arrays = {era: pairs.arrays() for era, pairs in decoded.pairs.items()}
        except ValueError:  # msgspec's decode errors are among them
            refused += 1
            continue
        for tally in decoded.tallies:
            known = tallies.get(tally.key)
            if known is None:
                tallies[tally.key] = tally
            else:
                known.absorb(tally)
        for era, three in arrays.items():
            columns.setdefault(era, []).append(three)
    pairs = {
        era: PairColumns.summed(*(np.concatenate(column) for column in zip(*parts, strict=True))).by_key()
        for era, parts in columns.items()
    }
    return _absorb(tallies.values(), pairs, rows, settings), refused


def _decode(block: bytes) -> Block:
    try:
        decoded = _DECODE_BLOCK(block)
    except RecursionError:
        raise ValueError("a block nested too deeply") from None
    if decoded.version != BLOCK_VERSION:
        raise ValueError(f"a block of version {decoded.version}, this program reads {BLOCK_VERSION}")
    return decoded


def apply_deltas(deltas: ItemDeltas, rows: Rows, settings: ItemSettings) -> dict[int, ItemState]:
    """As ``apply_block`` of the one block of all ``deltas``, without the way through bytes. The deltas are used up."""
    return _absorb(deltas.tallies.values(), deltas.pairs(), rows, settings)


def _absorb(tallies: Collection[ItemTally], pairs: Pairs, rows: Rows, settings: ItemSettings) -> dict[int, ItemState]:
    keys = {tally.key: None for tally in tallies}
    for items in pairs.values():
        keys.update(dict.fromkeys(items))
    known = rows.get_many([row_key(key) for key in keys])
    touched = {
        key: ItemState(key, pairs={}, older_pairs={}) if state is None else state
        for key, state in zip(keys, known, strict=True)
    }
    for tally in tallies:
        touched[tally.key].absorb(tally)
    for era, items in pairs.items():
        for key, amounts in items.items():
            state = touched[key]
            state.relate(era, amounts)
            if len(state.pairs) + len(state.older_pairs) > settings.neighbours_kept:
                state.prune(settings.neighbours_pruned_to)
    return touched


class IndexRow(msgspec.Struct, array_like=True, gc=False):
    """The published row of an item: what retrieval and features need.

    ``trend``, ``popularity`` and ``pair_level`` are levels (``decay.level``), the last of one unit of ``amounts``.
    ``neighbours``: keys as little-endian uint64. ``amounts``: as little-endian float32, in the same order.
    """

    version: int
    item: str
    views: Count
    carts: Count
    purchases: Count
    first_s: Count
    words: tuple[str, str, str]
    price_cents: Count
    trend: Level
    popularity: Level
    pair_level: Level
    neighbours: bytes
    amounts: bytes


def index_row(state: ItemState, settings: ItemSettings) -> bytes:
    """The row that topic ``item-index`` carries for an item."""
    amounts = strongest(state.neighbours(), settings.neighbours_published)
    return _ENCODE(
        IndexRow(
            INDEX_ROW_VERSION,
            state.item,
            state.views,
            state.carts,
            state.purchases,
            state.first_ms // 1000,
            state.words,
            state.price_cents,
            *state.levels(),
            state.pair_level,
            pack(f"<{len(amounts)}Q", *amounts),
            pack(f"<{len(amounts)}f", *amounts.values()),
        )
    )


def item_partition(key: int, partitions: int) -> int:
    """The partition of topics ``item-updates`` and ``item-index`` that an item belongs to."""
    return key % partitions
