"""What every reader of a file does: rows in time order, joined into events.

A file is read twice. The first pass looks at times only: how many events there are, from when to when, which rows are
bad and whether the rows are in time order. The second makes the events, one moment of time after the other, so that
memory does not grow with the file; only a file that is out of order is held and sorted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar, Final

import orjson

from streamer.core.events import EVENT_TYPES, Event, Line, item_key, key64
from streamer.core.parse import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streamer.readers.source import Source

LIMITS: Final = Limits()
"""Readers keep the limits of the inbound contract, so that an event read is an event that can be published."""

_from_bytes = int.from_bytes
_MANY_ROWS: Final = 10**15
_NAME_CHARS: Final = 32

Row = tuple[int, str, str, Line | None, str, str, int]
"""Time (ms since the epoch), user, type, line, query, session, row number (the first row of data is 1)."""


class BadRow(Exception):  # noqa: N818 -- it is no error of the program: the row is counted and the next one read
    """One row that makes no event; the argument is the reason it is counted under."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What the first pass found. Times are milliseconds since the epoch; both 0 if there are no events."""

    events: int
    rows: int
    first_ms: int
    last_ms: int
    in_order: bool
    skipped: Counter[str]


class Reader(ABC):
    """The events of one file, in time order; iterating again reads again.

    Events of one user at one time follow each other, so that whoever wants the group finds it in one run. Raises
    ``ReaderError`` when the file turns out to be damaged.
    """

    format: ClassVar[str]
    """The format's name; it is also the ``source`` of the events."""
    says: ClassVar[str]
    """The format in a line, for people."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._name = id_name(source.name)

    @classmethod
    @abstractmethod
    def recognises(cls, cells: tuple[str, ...]) -> bool:
        """Whether a file is of this format, by the cells of its first line, stripped and in lower case."""

    @abstractmethod
    def __iter__(self) -> Iterator[Event]:
        """The events, in time order."""

    @abstractmethod
    def _survey(self) -> Survey: ...

    @cached_property
    def survey(self) -> Survey:
        """The first pass over the file, made when first asked for."""
        return self._survey()

    @property
    def skipped(self) -> Counter[str]:
        """How many rows made no event, by reason."""
        return self.survey.skipped

    @property
    def count_hint(self) -> int:
        """How many events there are; at least as many, if the file is out of order."""
        return self.survey.events

    @property
    def last_ms(self) -> int:
        """The time of the last event, ms since the epoch."""
        return self.survey.last_ms


class RowReader(Reader):
    """A reader of a file whose rows are single lines of events."""

    @abstractmethod
    def _rows(self, skipped: Counter[str]) -> Iterator[Row]:
        """The rows in file order; those that make no line of an event are counted in ``skipped``."""

    def __iter__(self) -> Iterator[Event]:
        """The events, in time order."""
        in_order = self.survey.in_order
        rows: Iterable[Row] = self._rows(Counter())
        if not in_order:
            rows = sorted(rows, key=itemgetter(0))
        now: int | None = None
        moment: list[Row] = []
        for row in rows:
            if row[0] == now:
                moment.append(row)
                continue
            if len(moment) == 1:
                yield self._event(moment)
            else:
                yield from self._join(moment)
            moment = [row]
            now = row[0]
        yield from self._join(moment)

    def _survey(self) -> Survey:
        skipped: Counter[str] = Counter()
        events = rows = 0
        first = last = now = -1
        in_order = True
        moment: dict[tuple[str, str, str], int] = {}
        for time, user, kind, _, query, _, _ in self._rows(skipped):
            if time != now:
                events += _pieces(moment)
                moment.clear()
                if time < now:
                    in_order = False
                last = max(last, time)
                if first < 0 or time < first:
                    first = time
                now = time
            key = (user, kind, query)
            moment[key] = moment.get(key, 0) + 1
            rows += 1
        return Survey(events + _pieces(moment), rows + skipped.total(), max(first, 0), max(last, 0), in_order, skipped)

    def _join(self, moment: list[Row]) -> Iterator[Event]:
        """The events of one time: rows of one user and type (and query) together, users in order of appearance."""
        if len({row[1] for row in moment}) == len(moment):
            for row in moment:
                yield self._event([row])
            return
        users: dict[str, dict[tuple[str, str], list[Row]]] = {}
        for row in moment:
            users.setdefault(row[1], {}).setdefault((row[2], row[4]), []).append(row)
        for groups in users.values():
            for rows in groups.values():
                for start in range(0, len(rows), LIMITS.lines):
                    yield self._event(rows[start : start + LIMITS.lines])

    def _event(self, rows: list[Row]) -> Event:
        time, user, kind, line, query, session, number = rows[0]
        if len(rows) > 1:
            lines = tuple([row[3] for row in rows if row[3] is not None])
        else:
            lines = () if line is None else (line,)
        identity = f"{self._name}:{number}"
        return Event(user, identity, self.format, kind, time, fingerprint(self.format, identity), lines, query, session)


def _pieces(moment: dict[tuple[str, str, str], int]) -> int:
    """How many events joined rows make, given how many rows each has."""
    return len(moment) + sum((rows - 1) // LIMITS.lines for rows in moment.values() if rows > LIMITS.lines)


def fingerprint(source: str, identity: str) -> int:
    """The 64 bits that ``parse`` gives an event of this source and id."""
    text = f"{len(source)}:{source}{len(identity)}:{identity}".encode()
    return _from_bytes(blake2b(text, digest_size=8).digest(), "little")


_key = lru_cache(maxsize=1 << 16)(item_key)


@lru_cache(maxsize=1 << 16)
def make_line(  # noqa: PLR0917 -- by position, since that is what the cache is quick with
    item: str, price: str = "", quantity: str = "", category: str = "", brand: str = "", title: str = ""
) -> Line:
    """A line out of the texts of a row; an empty text is an unknown. Raises BadRow."""
    item = checked_id(item, "item")
    cut = LIMITS.text_chars
    return Line(
        item,
        _key(item),
        _quantity(quantity),
        _price(price),
        category.strip()[:cut],
        brand.strip()[:cut],
        title.strip()[:cut],
    )


def _price(text: str) -> float:
    if not text:
        return float("nan")
    try:
        price = float(text)
    except ValueError:
        raise BadRow("price is not a number") from None
    if not 0.0 <= price <= LIMITS.price:
        raise BadRow("price is out of range")
    return price


def _quantity(text: str) -> int:
    if not text:
        return 1
    try:
        quantity = int(text)
    except ValueError:
        raise BadRow("quantity is not a whole number") from None
    if not 1 <= quantity <= LIMITS.quantity:
        raise BadRow("quantity is out of range")
    return quantity


def checked_id(text: str, what: str) -> str:
    """``text`` as an id, stripped. Raises BadRow if it is empty or too long."""
    text = text.strip()
    if not text:
        raise BadRow(f"no {what}")
    if is_too_long(text):
        raise BadRow(f"{what} is too long")
    return text


def is_too_long(identity: str) -> bool:
    """Whether an id is longer than the contract allows, as JSON writes it."""
    # No character takes more than six bytes in JSON, so most ids need no exact measure.
    return len(identity) > LIMITS.id_bytes // 6 and len(orjson.dumps(identity)) - 2 > LIMITS.id_bytes


def checked_session(text: str) -> str:
    """``text`` as a session, stripped; it may be empty. Raises BadRow if it is too long."""
    text = text.strip()
    if is_too_long(text):
        raise BadRow("session is too long")
    return text


def id_name(name: str) -> str:
    """What the ids of a file's events begin with: its name, made text where it is none and short where it is long."""
    name = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if is_too_long(f"{name}:{_MANY_ROWS}"):
        name = f"{name[:_NAME_CHARS]}~{key64(name):016x}"
    return name


def check_needs(kind: str, line: Line | None, query: str) -> None:
    """Raises BadRow if a row of this type lacks what its type needs, or the type cannot stand in a table."""
    known = EVENT_TYPES.get(kind)
    if known is None:
        raise BadRow("unknown type")
    if known.needs in {"candidate", "preferences"}:
        raise BadRow(f"type {kind} cannot be told in a row")
    if known.needs == "items" and line is None:
        raise BadRow("no item")
    if known.needs == "query" and not query:
        raise BadRow("no query")
