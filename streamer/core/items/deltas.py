"""What a user task saw of items since its last commit, noted down event by event and summed once a commit.

Co-visitation is symmetric: items a user touched within a window of each other are each other's neighbours, weighted by
the interest the later event shows and by how many items lie between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streamer.core.decay import landmark
from streamer.core.events import EVENT_TYPES
from streamer.core.items.blocks import Block, LineColumns, PairColumns, Told
from streamer.core.items.leads import NO_LEADS
from streamer.core.items.state import ONE_VIEW, fuller, newer_price
from streamer.core.profile import newest_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.events import Event
    from streamer.core.items.leads import Leads
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import ItemSettings

KINDS: Final = ("view", "cart", "purchase", "other")
"""What lines are counted as; a noted line has the place of its kind in this list."""

# By event type: the interest a line of it shows, and the place of its kind.
_TYPES: Final = {
    name: (round(e.weight * ONE_VIEW), KINDS.index(e.kind) if e.kind in KINDS else KINDS.index("other"))
    for name, e in EVENT_TYPES.items()
}
_UNCOUNTED: Final = KINDS.index("other")
_MAX_CENTS: Final = 2**40
# What a partner 0, 1, 2 … items back still counts, in 1/256.
_DISTANCE: Final = tuple(round(256 * 0.75**n) for n in range(64))
_LOOK_BACK: Final = 8

Eras = tuple[int, int]
"""The eras of trend and of interest."""


class Lines(NamedTuple):
    """Event lines noted of one pair of eras, a column a field, a line a place: item key, kind, time in ms, amounts."""

    keys: list[int]
    kinds: list[int]
    times: list[int]
    trends: list[int]
    interests: list[int]


class Pairs(NamedTuple):
    """Pairs noted of one era, one way: item key, neighbour key, amount."""

    keys: list[int]
    neighbours: list[int]
    amounts: list[int]


_NO_PAIRS: Final = Pairs([], [], [])


def touched_before(profile: Profile | None, time_ms: int, settings: ItemSettings) -> list[int]:
    """The keys of the items that an event at that time is related to, newest last: the shopper's newest few."""
    if profile is None:
        return []
    return newest_items(profile, _LOOK_BACK, time_ms // 1000 - settings.pair_window_s)


class ItemDeltas:
    """The notes. What time is worth is taken to the second.

    ``told``: by item key, its id and attributes. ``lines``, ``pairs`` and ``leads`` (pairs that go one
    way): by era.
    """

    __slots__ = ("_amounts", "_noted", "_second", "leads", "lines", "pairs", "told")

    def __init__(self) -> None:
        self.told: dict[int, Told] = {}
        self.lines: dict[Eras, Lines] = {}
        self.pairs: dict[int, Pairs] = {}
        self.leads: dict[int, list[tuple[int, Sequence[int], int]]] = {}
        self._second = -1
        self._amounts = (0, 0, 0)
        self._noted = Lines([], [], [], [], [])

    def __len__(self) -> int:
        """How many items have news of their own."""
        return len(self.told)

    def add(self, event: Event, before: Sequence[int], settings: ItemSettings, leads: Leads = NO_LEADS) -> None:
        """Count an event's lines and relate them to the items its user touched before (``touched_before``).

        ``leads`` are those of ``leads_of``.
        """
        lines = event.lines
        if not lines:
            return
        time = event.time
        if time // 1000 != self._second:
            self._turn_to(time // 1000, settings)
        weight, kind = _TYPES[event.type]
        trend, interest, _ = self._amounts
        keys, kinds, times, trends, interests = self._noted
        told = self.told
        for line in lines:
            key = line.key
            keys.append(key)
            kinds.append(kind)
            times.append(time)
            trends.append(trend * weight)
            interests.append(interest * weight)
            words = (line.category, line.brand, line.title)
            cents = line.price * 100
            cents = round(cents) if 0.5 < cents < _MAX_CENTS else 0
            known = told.get(key)
            if known is None:
                told[key] = Told(key, line.item, words, time, cents, time if cents else 0)
            elif known.words == words and known.price_cents == cents and known.words_ms <= time:
                # The usual case: the same said again, later.
                known.words_ms = time
                if cents:
                    known.price_ms = max(known.price_ms, time)
            else:
                known.words, known.words_ms = fuller(known.words, known.words_ms, words, time)
                known.price_cents, known.price_ms = newer_price(known.price_cents, known.price_ms, cents, time)
        if weight > 0 and (before or len(lines) > 1):
            self._relate(event, list(before), interest * weight, settings, again=weight > ONE_VIEW)
        if leads.counted:
            self._lead(leads, time)

    def _lead(self, leads: Leads, time: int) -> None:
        trend, interest, era = self._amounts
        keys, kinds, times, trends, interests = self._noted
        for node, weight in leads.counted:
            keys.append(node)
            kinds.append(_UNCOUNTED)
            times.append(time)
            trends.append(trend * weight)
            interests.append(interest * weight)
        noted = self.leads.get(era)
        if noted is None:
            noted = self.leads[era] = []
        noted.extend([(node, items, interest * weight) for node, items, weight in leads.pairs if items])

    def _turn_to(self, second: int, settings: ItemSettings) -> None:
        """Events come in bursts of the same second: what it is worth is worked out once."""
        trend_era, trend = landmark(second * 1000, settings.trend_half_life_ms)
        interest_era, interest = landmark(second * 1000, settings.interest_half_life_ms)
        self._second = second
        self._amounts = trend, interest, interest_era
        eras = trend_era, interest_era
        noted = self.lines.get(eras)
        if noted is None:
            noted = self.lines[eras] = Lines([], [], [], [], [])
        self._noted = noted

    def _relate(self, event: Event, before: list[int], amount: int, settings: ItemSettings, *, again: bool) -> None:
        """``again``: whether an item touched twice in a row is related to those before it once more.

        A second look says nothing new of what goes with what; a cart or purchase does.
        """
        era = self._amounts[2]
        noted = self.pairs.get(era)
        if noted is None:
            noted = self.pairs[era] = Pairs([], [], [])
        keys, neighbours, amounts = noted
        limit = settings.pair_partners
        for line in event.lines[: settings.pair_lines]:
            key = line.key
            if key in before:
                if before[-1] == key and not again:
                    continue
                before.remove(key)
            for neighbour, distance in zip(before[: -limit - 1 : -1], _DISTANCE, strict=False):
                keys.append(key)
                neighbours.append(neighbour)
                amounts.append(amount * distance >> 8)
            before.append(key)

    def blocks(self, partitions: int) -> dict[int, bytes]:
        """A block for each item partition (``item_partition``) that has news, in order of partition."""
        blocks: dict[int, Block] = {}

        def of(partition: int) -> Block:
            return blocks.setdefault(partition, Block.empty())

        for key in sorted(self.told):
            of(key % partitions).told.append(self.told[key])
        for eras in sorted(self.lines):
            keys, kinds, times, trends, interests = self.lines[eras]
            columns = LineColumns.of_lines(
                np.array(keys, np.uint64),
                np.array(kinds, np.int64),
                np.array(times, np.int64),
                np.array(trends, np.int64),
                np.array(interests, np.int64),
            )
            for partition, part in columns.split(partitions):
                of(partition).lines.append((*eras, part.packed()))
        for era in sorted({*self.pairs, *self.leads}):
            one, other, share = self.pairs.get(era, _NO_PAIRS)
            leads = self.leads.get(era, ())
            sizes = [len(items) for _, items, _ in leads]
            nodes = np.array([node for node, _, _ in leads], np.uint64).repeat(sizes)
            items = [item for _, items, _ in leads for item in items]
            led = np.array([amount for _, _, amount in leads], np.int64).repeat(sizes)
            columns_of_pairs = PairColumns.summed(
                np.concatenate((np.array([*one, *other], np.uint64), nodes)),
                np.array([*other, *one, *items], np.uint64),
                np.concatenate((np.array([*share, *share], np.int64), led)),
            )
            for partition, pairs in columns_of_pairs.split(partitions):
                of(partition).pairs.append((era, pairs.packed()))
        return {partition: blocks[partition].encode() for partition in sorted(blocks)}
