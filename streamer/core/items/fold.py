"""Deltas into the rows of table ``items``. Rows are not changed: new ones are made of them."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final, Protocol

from streamer.core.items.blocks import LineColumns, PairColumns, decode
from streamer.core.items.state import ItemState, row_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.items.blocks import Told
    from streamer.core.items.deltas import Eras, ItemDeltas
    from streamer.core.retrieval_settings import ItemSettings


# What one line of each of ``deltas.KINDS`` adds to the counts.
_ONE: Final = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))


class Rows(Protocol):
    """The table ``items``, as the item role sees it; ``None`` for what is not there."""

    def get_many(self, keys: Sequence[str]) -> Sequence[ItemState | None]:
        """The rows of ``keys`` (``row_key``), in that order."""
        ...


def apply_block(block: bytes, rows: Rows, settings: ItemSettings) -> dict[int, ItemState]:
    """The rows a block changes, by item key, with its sums in them.

    Raises ``msgspec.DecodeError`` (``ValidationError`` is one) if the bytes are no block, ``ValueError`` if they are of
    a version this program does not know or do not fit together.
    """
    sums = _Sums()
    sums.add(block)
    return sums.applied(rows, settings)


def apply_blocks(blocks: Sequence[bytes], rows: Rows, settings: ItemSettings) -> tuple[dict[int, ItemState], int]:
    """As ``apply_block`` of each, and how many could not be read and were left out.

    Combined first, so that an item which many user tasks saw is read and written once.
    """
    sums = _Sums()
    refused = 0
    for block in blocks:
        try:
            sums.add(block)
        except ValueError:  # msgspec's decode errors are among them
            refused += 1
    return sums.applied(rows, settings), refused


def apply_deltas(deltas: ItemDeltas, rows: Rows, settings: ItemSettings) -> dict[int, ItemState]:
    """As ``apply_block`` of the one block of all ``deltas``, without the way through bytes: for a few at a time."""
    related: dict[int, dict[int, dict[int, int]]] = {}
    for era, noted in deltas.pairs.items():
        of_era = related[era] = {}
        for key, neighbour, amount in zip(*noted, strict=True):
            mine, theirs = of_era.setdefault(key, {}), of_era.setdefault(neighbour, {})
            mine[neighbour] = mine.get(neighbour, 0) + amount
            theirs[key] = theirs.get(key, 0) + amount
    for era, leads in deltas.leads.items():
        of_era = related.setdefault(era, {})
        for node, items, amount in leads:
            led = of_era.setdefault(node, {})
            for key in items:
                led[key] = led.get(key, 0) + amount
    counted = (key for lines in deltas.lines.values() for key in lines.keys)
    touched = _Touched(rows, [*deltas.told, *counted, *(key for of_era in related.values() for key in of_era)])
    for (trend_era, interest_era), lines in deltas.lines.items():
        for key, kind, time, trend, interest in zip(*lines, strict=True):
            views, carts, purchases, others = _ONE[kind]
            touched[key].count(
                views, carts, purchases, others, time, time, (trend_era, trend), (interest_era, interest)
            )
    touched.tell(deltas.told.values())
    for era, of_era in related.items():
        touched.relate(era, of_era, settings)
    return touched


class _Touched(dict[int, ItemState]):
    """Copies of the rows to be changed, by item key."""

    def __init__(self, rows: Rows, keys: Iterable[int]) -> None:
        distinct = list(dict.fromkeys(keys))
        found = rows.get_many([row_key(key) for key in distinct])
        super().__init__(
            (key, ItemState(key) if state is None else copy(state)) for key, state in zip(distinct, found, strict=True)
        )

    def tell(self, told: Iterable[Told]) -> None:
        for one in told:
            self[one.key].tell(one.item, one.words, one.words_ms, one.price_cents, one.price_ms)

    def relate(self, era: int, amounts: dict[int, dict[int, int]], settings: ItemSettings) -> None:
        for key, near in amounts.items():
            state = self[key]
            state.relate(era, near)
            if len(state.pairs) + len(state.older_pairs) > settings.neighbours_kept:
                state.prune(settings.neighbours_pruned_to)


class _Sums:
    """Several blocks, combined."""

    def __init__(self) -> None:
        self._told: list[Told] = []
        self._lines: dict[Eras, list[LineColumns]] = {}
        self._pairs: dict[int, list[PairColumns]] = {}

    def add(self, block: bytes) -> None:
        """Add a block, or raise and leave the sums as they were."""
        decoded = decode(block)
        lines = [((trend, interest), LineColumns.unpacked(columns)) for trend, interest, columns in decoded.lines]
        pairs = [(era, PairColumns.unpacked(columns)) for era, columns in decoded.pairs]
        self._told += decoded.told
        for eras, part in lines:
            self._lines.setdefault(eras, []).append(part)
        for era, of_era in pairs:
            self._pairs.setdefault(era, []).append(of_era)

    def applied(self, rows: Rows, settings: ItemSettings) -> dict[int, ItemState]:
        """The rows changed, by item key."""
        lines = {eras: LineColumns.joined(parts) for eras, parts in self._lines.items()}
        pairs = {era: PairColumns.joined(parts).by_key() for era, parts in self._pairs.items()}
        keys = [key for columns in lines.values() for key in columns.keys.tolist()]
        keys += [told.key for told in self._told]
        keys += [key for of_era in pairs.values() for key in of_era]
        touched = _Touched(rows, keys)
        for (trend_era, interest_era), columns in lines.items():
            for key, views, carts, purchases, others, first_ms, last_ms, trend, interest in zip(
                columns.keys.tolist(),
                *columns.counts.tolist(),
                columns.first_ms.tolist(),
                columns.last_ms.tolist(),
                columns.trends.tolist(),
                columns.interests.tolist(),
                strict=True,
            ):
                touched[key].count(
                    views, carts, purchases, others, first_ms, last_ms, (trend_era, trend), (interest_era, interest)
                )
        touched.tell(self._told)
        for era, of_era in pairs.items():
            touched.relate(era, of_era, settings)
        return touched
