"""News from the catalog in the plainest way: who watches which items, and what is told to whom at which tick.

The catalog is a list of records; what it said at any position is looked up in it. Who watches what is a dictionary.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.faults import plain
from tests.faults.plain import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.plain import Profile, Rec, Said

CATALOG: Final = "catalog"
#: Of the changes so many records, and rows of who watches their items, are looked at in one tick at most.
MOST_TOLD: Final = 256


@dataclass(frozen=True, slots=True)
class Waiting:
    """A campaign that waits for news, of what events ``on`` showed interest in up to ``within_ms`` ago.

    It asks ``after_ms`` from being told. ``drop``: hundredths of the price by which an item costs less at least; 0 of
    one that waits for items to be had again.
    """

    on: tuple[str, ...]
    within_ms: int
    after_ms: int = 0
    drop: int = 0

    @property
    def due(self) -> str:
        """The type of the event that stands for the news."""
        return "price_drop" if self.drop else "back_in_stock"

    def declared(self, name: str) -> str:
        """Its file. What was bought is told of no more."""
        return "\n".join((
            "[triggers]",
            f"on = {list(self.on)}",
            f'due = "{self.due}"',
            f'within = "{self.within_ms // 1000}s"',
            *([f"drop = {self.drop / 100}"] if self.drop else []),
            *([f'after = "{self.after_ms // 1000}s"'] if self.after_ms else []),
            'drop_on = ["purchase"]',
            "[items]",
            'list = "trigger"',
            "least_score = 0.0",
            "[message]",
            f'template = "{name}.v1"',
            f"variables = {['title', 'price', *(['price_was'] if self.drop else [])]}",
            'channels = ["push", "in-app", "email", "sms"]',
        ))  # fmt: skip


WAITING: Final = {
    "cheaper": Waiting(("view", "wishlist", "cart"), 2 * HOUR_MS, drop=10),
    "back-again": Waiting(("view", "cart"), HOUR_MS, after_ms=HOUR_MS // 12),
}
#: For so long anybody is remembered to watch anything.
LONGEST_MS: Final = max(each.within_ms for each in WAITING.values())


class Entry(NamedTuple):
    """What the catalog says of an item: cents, 0 if nothing, and whether it can be had."""

    cents: int
    in_stock: bool


class Catalog:
    """The records of the topic, of which any number may have been read."""

    def __init__(self, records: Sequence[Rec]) -> None:
        self._entries: dict[str, list[tuple[int, Entry | None]]] = {}
        #: The offsets of the records that made an item cheaper, or let it be had again, with the item and which.
        self.changes: list[tuple[int, str, frozenset[str]]] = []
        self.offsets = {rec.offset for rec in records}
        for rec in records:
            self._take(rec)

    def _take(self, rec: Rec) -> None:
        try:
            item = (rec.key or b"").decode()
        except UnicodeDecodeError:
            return
        entry = _read(rec.value) if rec.value is not None else None
        if not item or (rec.value is not None and entry is None):
            return
        said = self._entries.setdefault(item, [])
        before = said[-1][1] if said else None
        said.append((rec.offset, entry))
        if before is None or entry is None:
            return
        kinds = {"cheaper"} if 0 < entry.cents < before.cents else set()
        kinds |= {"back"} if entry.in_stock and not before.in_stock else set()
        if kinds:
            self.changes.append((rec.offset, item, frozenset(kinds)))

    def entry(self, item: str, position: int) -> Entry | None:
        """What is said of an item by the records before a position; None: nothing."""
        said = self._entries.get(item, [])
        place = bisect_left(said, position, key=lambda each: each[0])
        return said[place - 1][1] if place else None

    def newest(self, position: int) -> int:
        """The offset of the last change before a position; -1 if there is none."""
        place = bisect_left(self.changes, position, key=lambda change: change[0])
        return self.changes[place - 1][0] if place else -1

    def since(self, offset: int, position: int) -> Iterator[tuple[int, str, frozenset[str]]]:
        """The changes from an offset on, as of a position: of each item the newest of either kind."""
        overtaken: set[tuple[str, str]] = set()
        found = []
        for at, item, kinds in reversed(self.changes):
            if at >= position:
                continue
            if at < offset:
                break
            if left := frozenset(kind for kind in kinds if (item, kind) not in overtaken):
                found.append((at, item, left))
            overtaken |= {(item, kind) for kind in kinds}
        return reversed(found)


def _read(value: bytes) -> Entry | None:
    """What an entry says; None if it is none."""
    try:
        body = json.loads(value)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    stock = body.get("stock")
    return Entry(round((body.get("price") or 0) * 100), stock is None or stock > 0)


@dataclass(frozen=True, slots=True)
class Watch:
    """A shopper's interest in an item: when last, what it cost then, how far the catalog was read, after what; and by
    campaign what it cost when it was told of.
    """

    time_ms: int
    cents: int
    position: int
    types: tuple[str, ...]
    told: tuple[tuple[str, int], ...] = ()

    def telling(self, campaign: str, *cents: int) -> Watch:
        """With what a campaign tells that it costs; without an amount it told nothing."""
        others = [each for each in self.told if each[0] != campaign]
        return replace(self, told=(*others, *((campaign, each) for each in cents)))

    @property
    def row(self) -> list[Any]:
        """As table ``watch`` has it."""
        told = [list(each) for each in self.told]
        return [self.time_ms, self.cents, self.position, list(self.types), told]


class News(NamedTuple):
    """A change, at an offset, that a campaign tells a shopper of; ``cents``: what the item cost before, of a drop."""

    campaign: str
    user: str
    item: str
    offset: int
    cents: int


class Watching:
    """Who watches what in one task. ``swept``: up to which change, and of the one at that offset up to which shopper,
    all has been told.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.rows: dict[tuple[str, str], Watch] = {}
        self.swept = (0, "")

    @property
    def table(self) -> dict[bytes, list[Any]]:
        """As it lies on disk."""
        return {f"{plain.item_key(item):016x}/{user}".encode(): row.row for (item, user), row in self.rows.items()}

    def hear(self, said: Said, gone: Sequence[str], after: Profile, position: int) -> None:
        """An applied event of behaviour; ``gone``: the items that the shopper is not remembered with any more."""
        watches = any(said.type in each.on for each in WAITING.values())
        for item, cents in zip(said.items, said.cents, strict=True):
            place = item, said.user
            if said.type == "purchase":
                self.rows.pop(place, None)
            elif watches and item in after.items:
                before = self.rows.get(place)
                if before is not None and before.time_ms > said.time:
                    continue
                if not self.rows:
                    self.swept = max(self.swept, (position, ""))
                entry = self._catalog.entry(item, position)
                prices = [price for price in (cents, entry.cents if entry is not None else 0) if price]
                types = {said.type, *(before.types if before is not None else ())}
                self.rows[place] = Watch(said.time, min(prices, default=0), position, tuple(sorted(types)))
        for item in gone:
            self.rows.pop((item, said.user), None)

    def forget(self, user: str) -> None:
        """They asked to be forgotten."""
        self.rows = {place: row for place, row in self.rows.items() if place[1] != user}

    def untold(self, campaign: str, user: str, item: str) -> None:
        """News are true no more as they are to be told."""
        if (row := self.rows.get((item, user))) is not None:
            self.rows[item, user] = row.telling(campaign)

    def settle(self, position: int) -> None:
        """A batch is over: where nothing is left to tell, that is so up to where the catalog was read."""
        if self._catalog.newest(position) < self.swept[0] < position:
            self.swept = position, ""

    def owes(self, position: int) -> bool:
        """Whether there is something to tell, to somebody who may care."""
        return bool(self.rows) and self._catalog.newest(position) >= self.swept[0]

    def sweep(self, until: int, now_ms: int, position: int) -> list[News]:
        """What a tick tells that names an offset."""
        offset, after = self.swept
        if until <= offset:
            return []
        changes = [change for change in self._catalog.since(offset, position) if change[0] < until] if self.rows else []
        self.swept = until, ""
        if len(changes) > MOST_TOLD:
            self.swept, changes = (changes[MOST_TOLD][0], ""), changes[:MOST_TOLD]
        found = [
            (change, user)
            for change in changes
            for user in sorted(user for item, user in self.rows if item == change[1])
            if change[0] > offset or user > after
        ][:MOST_TOLD]
        if len(found) == MOST_TOLD:
            (last, _, _), user = found[-1]
            self.swept = last, user
        return [
            news for (at, item, kinds), user in found for news in self._tell(at, item, kinds, user, now_ms, position)
        ]

    def _tell(
        self, offset: int, item: str, kinds: frozenset[str], user: str, now_ms: int, position: int
    ) -> Iterator[News]:
        row = self.rows.get((item, user))
        if row is None:
            return
        if row.time_ms <= now_ms - LONGEST_MS:
            del self.rows[item, user]
            return
        entry = self._catalog.entry(item, position)
        if offset < row.position or entry is None or not entry.in_stock:
            return
        for name, campaign in WAITING.items():
            if row.time_ms <= now_ms - campaign.within_ms or set(campaign.on).isdisjoint(row.types):
                continue
            cents = dict(row.told).get(name, row.cents)
            if campaign.drop and lower(entry.cents, cents, campaign.drop):
                self.rows[item, user] = row = row.telling(name, entry.cents)
                yield News(name, user, item, offset, cents)
            elif not campaign.drop and "back" in kinds:
                yield News(name, user, item, offset, 0)

    def holds(self, campaign: str, item: str, cents: int, position: int) -> bool:
        """Whether what was told of is so still."""
        entry, drop = self._catalog.entry(item, position), WAITING[campaign].drop
        return entry is not None and entry.in_stock and (not drop or lower(entry.cents, cents, drop))


def lower(cents: int, before: int, drop: int) -> bool:
    """Whether a price is lower than another by so many hundredths of it at least."""
    return 0 < cents < before and 100 * (before - cents) >= drop * before
