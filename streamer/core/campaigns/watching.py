"""Who looks at what, and which of the catalog's changes are news to them.

A row of table ``watch`` says that a shopper has shown interest in an item that they still remember (``Profile.items``,
which bounds the table): when last, at what price, and up to where the catalog had been read then. A change of the
catalog behind that is news. It arms the timer of a campaign that waits for such news, like an event of the shopper's
own; the rules are asked as the timer fires.

Rows follow from events and from where the catalog stood at each micro-batch, which the journal names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from streamer.core.campaigns.arming import arm, with_timer
from streamer.core.campaigns.campaign import PRICE_DROP
from streamer.core.events import Event, key64
from streamer.core.profile import price_cents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streamer.core.campaigns.arming import Timers
    from streamer.core.campaigns.book import Book
    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.catalog import CatalogEntry
    from streamer.core.changes import Change
    from streamer.core.events import Line
    from streamer.core.index import ItemIndex
    from streamer.core.policy.state import Armed
    from streamer.core.views import WatchRows

CATALOG: Final = "catalog"
_DIGITS: Final = 16
_BETWEEN: Final = "/"
_AFTER: Final = "0"  # the character behind ``_BETWEEN``
_THOUSANDTHS: Final = 1000


class Watch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A shopper's interest in an item: ``time_ms`` of the newest event, in the order of their time.

    ``cents``: what it cost then, the less of what the event and the catalog said (0: neither did). ``position``: of the
    catalog then (``Changes.position``). ``types``: of the events, in alphabetical order. ``told``: by campaign, what it
    cost when it armed the campaign's timer to tell that it costs less; from there on the next drop counts.
    """

    time_ms: int
    cents: int
    position: int
    types: tuple[str, ...] = ()
    told: tuple[tuple[str, int], ...] = ()

    def price_for(self, campaign: str) -> int:
        """What it cost as far as a campaign is concerned."""
        return dict(self.told).get(campaign, self.cents)

    def telling(self, campaign: str, cents: int | None) -> Watch:
        """With what a campaign is to tell it costs now; ``None``: it was not told."""
        others = [each for each in self.told if each[0] != campaign]
        return msgspec.structs.replace(self, told=(*others, *([] if cents is None else [(campaign, cents)])))


class News(NamedTuple):
    """A change that a campaign waits for, of an item that a shopper watches. ``cents``: what it cost before; 0 if that
    is not what it is about.
    """

    campaign: Campaign
    user: str
    change: Change
    cents: int


class Swept(NamedTuple):
    """What came of changes: rows to write (``None`` deletes), news in order, and up to where they have been told: all
    of the changes before an offset, and of the one at it those shoppers that are not after the one named.
    """

    rows: dict[str, Watch | None]
    news: list[News]
    until: tuple[int, str] | None


class Watching:
    """Table ``watch`` while a batch is folded. ``dirty``: rows to be written; ``count`` and ``swept`` as of now.

    Changes before the first row of a table that has none are news to nobody: they count as told.
    """

    __slots__ = ("_position", "_rows", "_table", "count", "dirty", "swept")

    def __init__(self, table: WatchRows, position: int, swept: Swept) -> None:
        """``position``: of the catalog; ``swept``: what the batch has been told of changes."""
        self._table, self._position = table, position
        self._rows: dict[str, Watch | None] = dict(swept.rows)
        self.dirty: dict[str, Watch | None] = dict(swept.rows)
        self.count = table.count - sum(row is None for row in swept.rows.values())
        self.swept = swept.until or table.swept

    def know(self, keys: Iterable[str]) -> None:
        """Read the rows of these keys that are not known yet."""
        new = [key for key in dict.fromkeys(keys) if key not in self._rows]
        self._rows.update(zip(new, self._table.get_many(new), strict=True))

    def get(self, key: str) -> Watch | None:
        """The row of a key."""
        if key not in self._rows:
            self.know([key])
        return self._rows[key]

    def put(self, key: str, row: Watch | None) -> None:
        """Put a row, or take it out."""
        before = self.get(key)
        if row is before is None:
            return
        if before is None and not self.count:
            self.swept = max(self.swept, (self._position, ""))
        self.count += (row is not None) - (before is not None)
        self._rows[key] = self.dirty[key] = row


def watch_key(item: int, user: str) -> str:
    """The key of a row, in the order of items and then of shoppers."""
    return f"{item:0{_DIGITS}x}{_BETWEEN}{user}"


def keys_of(events: Iterable[Event]) -> Iterator[str]:
    """The keys of the rows that events may change: of their shoppers and items."""
    return (watch_key(line.key, event.user) for event in events for line in event.lines)


def user_of(key: str) -> str:
    """The shopper of a key. Raises ValueError for what is none."""
    digits, between, user = key[:_DIGITS], key[_DIGITS : _DIGITS + 1], key[_DIGITS + 1 :]
    if between != _BETWEEN or int(digits, 16) < 0 or digits != f"{int(digits, 16):0{_DIGITS}x}":
        raise ValueError(f"{key!r} is no key of who watches what")
    return user


def span(item: int, after: str) -> tuple[str, str]:
    """The first key that may be of the item and a shopper after this one ("": of any), and the first beyond."""
    start = watch_key(item, after)
    return (start + "\0" if after else start), f"{item:0{_DIGITS}x}{_AFTER}"


def watched(before: Watch | None, event: Event, line: Line, index: ItemIndex) -> Watch:
    """The row after an event that shows interest in the item of its line."""
    entry = index.entry(index.dense(line.key))
    told = price_cents(line.price), entry.price_cents if entry is not None else 0
    types = {event.type} if before is None else {event.type, *before.types}
    return Watch(event.time, min(filter(None, told), default=0), index.changes.position, tuple(sorted(types)))


def sweep(watching: WatchRows, index: ItemIndex, book: Book, *, now_ms: int, until: int, limit: int) -> Swept:
    """Tell of changes before offset ``until``, from where it was left; of ``limit`` items and rows at most."""
    offset, after = watching.swept
    if until <= offset:
        return Swept({}, [], None)
    if not watching.count:
        return Swept({}, [], (until, ""))
    changes: list[list[Change]] = []  # each by one record, which is of one item
    end = until, ""
    for change in index.changes.since(offset):
        if change.offset >= until:
            break
        if changes and changes[-1][0].offset == change.offset:
            changes[-1].append(change)
        elif len(changes) == limit:
            end = change.offset, ""
            break
        else:
            changes.append([change])
    spans = [span(some[0].key, after if some[0].offset == offset else "") for some in changes]
    found = watching.between(spans, limit)
    if len(found) == limit:
        place, key, _ = found[-1]
        end = changes[place][0].offset, user_of(key)
    rows: dict[str, Watch | None] = {}
    news: list[News] = []
    for place, key, row in found:
        kept = rows.get(key, row)
        if kept is None:
            continue
        if kept.time_ms <= now_ms - book.watch_ms:
            rows[key] = None
            continue
        waiting = [each for each in book.watching if kept.time_ms > now_ms - each.triggers.within_ms]
        entry = index.entry(index.dense(changes[place][0].key))
        for told in list(_news(user_of(key), kept, changes[place], entry, waiting)):
            news.append(told)
            if told.campaign.triggers.due == PRICE_DROP and entry is not None:
                rows[key] = kept = kept.telling(told.campaign.name, entry.price_cents)
    return Swept(rows, news, end)


def _news(
    user: str, row: Watch, changes: Sequence[Change], entry: CatalogEntry | None, waiting: Sequence[Campaign]
) -> Iterator[News]:
    """What of one record campaigns wait for, if the shopper has looked before it and the item can be had now."""
    change = changes[0]
    if change.offset < row.position or entry is None or not entry.in_stock:
        return
    back = any(each.kind == "back" for each in changes)
    for campaign in waiting:
        triggers = campaign.triggers
        if set(triggers.on).isdisjoint(row.types):
            continue
        if triggers.due != PRICE_DROP:
            if back:
                yield News(campaign, user, change, 0)
        elif is_lower(entry.price_cents, row.price_for(campaign.name), triggers.drop):
            yield News(campaign, user, change, row.price_for(campaign.name))


def is_lower(cents: int, before: int, share: float) -> bool:
    """Whether a price is lower than another by at least this share of it, to a thousandth; both have to be known."""
    return 0 < cents < before and _THOUSANDTHS * (before - cents) >= round(_THOUSANDTHS * share) * before


def armed(timers: Timers, news: News, item: str, now_ms: int, most_items: int) -> Timers:
    """The timers with that of the news; items of it that were not asked about yet stay. ``item``: the item's id."""
    campaign, user, change, cents = news
    identity = f"{item}@{change.offset}"
    event = Event(
        user,
        identity,
        CATALOG,
        campaign.triggers.due,
        now_ms,
        # Of its own for each shopper, as draws are made of it.
        key64(f"{identity}\n{user}"),
        topic=CATALOG,
        offset=change.offset,
        timestamp=now_ms,
    )
    before = next((timer for timer in timers if timer.campaign == campaign.name), None)
    kept = [] if before is None else [pair for pair in before.items if pair[0] != change.key]
    keys, prices = zip(*[*kept, (change.key, cents)][-most_items:], strict=True)
    return with_timer(timers, arm(campaign.name, now_ms + campaign.triggers.after_ms, event, keys, prices=prices))


def holds(timer: Armed, campaign: Campaign, index: ItemIndex) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Items and prices of a timer of which what armed it is still so."""
    return _apart((key, was) for key, was in timer.items if _holds(key, was, campaign, index))


def _holds(key: int, was: int, campaign: Campaign, index: ItemIndex) -> bool:
    entry = index.entry(index.dense(key))
    if entry is None or not entry.in_stock:
        return False
    return campaign.triggers.due != PRICE_DROP or is_lower(entry.price_cents, was, campaign.triggers.drop)


def _apart(pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    found = list(pairs)
    return tuple([key for key, _ in found]), tuple([was for _, was in found])
