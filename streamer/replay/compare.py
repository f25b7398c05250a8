"""Two runs' candidates and tables, side by side: where do they part?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GRID: Final = 1 << 20
"""Scores are compared as multiples of 1/GRID, which is what they are rounded to before anything is ranked by them."""


class Window(msgspec.Struct, frozen=True):
    """Which triggers a run of one task covers: from ``begin`` to ``end``, next offsets by logical topic.

    ``users``: whom candidates were sent of; all if empty. ``journal_next``: the first journal row it has not folded,
    -1 if that is not known.
    """

    begin: dict[str, int]
    end: dict[str, int]
    users: list[str] = []
    journal_next: int = -1

    def covers(self, topic: str, offset: int) -> bool:
        """Whether a candidate of this trigger is among those sent."""
        return self.begin.get(topic, 0) <= offset < self.end.get(topic, 0)


class Item(msgspec.Struct, frozen=True):
    """An item of a candidate, its score on the grid."""

    id: str
    score: int


class Sent(msgspec.Struct, frozen=True):
    """What of a candidate two runs must agree on, and its trigger."""

    id: str
    user: str
    topic: str
    partition: int
    offset: int
    items: tuple[Item, ...]
    score: int
    reasons: tuple[str, ...]

    @property
    def place(self) -> str:
        """The trigger: topic:partition:offset."""
        return f"{self.topic}:{self.partition}:{self.offset}"


def sent(value: bytes) -> Sent:
    """Of a record of ``push-candidates``."""
    told: dict[str, Any] = orjson.loads(value)
    trigger = told["trigger"]
    return Sent(
        told["candidate_id"],
        told["user_id"],
        trigger["topic"],
        trigger["partition"],
        trigger["offset"],
        tuple(Item(item["id"], round(item["score"] * GRID)) for item in told["items"]),
        round(told["score"] * GRID),
        tuple(told["reasons"]),
    )


Rows = dict[bytes, bytes]


@dataclass(slots=True)
class Task:
    """One task of a run: what it covers, its tables by name, and its candidates in the order folded.

    ``unknown`` says why the tables are not known, if they are not.
    """

    window: Window
    tables: dict[str, Rows]
    unknown: str = ""
    candidates: list[Sent] = field(default_factory=list)


def in_both(candidates: Iterable[Sent], a: Window, b: Window) -> list[Sent]:
    """Those that both runs were to send."""
    only = [set(window.users) for window in (a, b) if window.users]
    return [
        one
        for one in candidates
        if a.covers(one.topic, one.offset)
        and b.covers(one.topic, one.offset)
        and all(one.user in users for users in only)
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """``place``: a trigger's topic:partition:offset, or a table's row; ``what`` is different there, in words."""

    place: str
    what: str


def first_difference(a: Sequence[Sent], b: Sequence[Sent], names: tuple[str, str]) -> Difference | None:
    """Where two runs of a task part: at the first candidate, in the order folded, that is not the same in both."""
    for name, run in zip(names, (a, b), strict=True):
        # An id that comes twice would make the walk below blame an innocent one.
        if (most := Counter(one.id for one in run).most_common(1)) and most[0][1] > 1:
            twice = next(one for one in run if one.id == most[0][0])
            return Difference(twice.place, f"candidate {twice.id} of {twice.user} is {most[0][1]} times in {name}")
    ids = {one.id for one in a}, {one.id for one in b}
    for mine, theirs in zip(a, b, strict=False):
        if mine.id == theirs.id:
            if what := _unlike(mine, theirs):
                return Difference(mine.place, f"candidate {mine.id} of {mine.user}: {what}")
        elif mine.id not in ids[1]:
            return _alone(mine, names[0])
        elif theirs.id not in ids[0]:
            return _alone(theirs, names[1])
        else:
            return Difference(mine.place, f"candidate {mine.id} of {mine.user} comes in another order")
    if len(a) != len(b):
        longer = 0 if len(a) > len(b) else 1
        return _alone((a, b)[longer][min(len(a), len(b))], names[longer])
    return None


def _alone(one: Sent, name: str) -> Difference:
    return Difference(one.place, f"candidate {one.id} of {one.user} is in {name} only")


def _unlike(mine: Sent, theirs: Sent) -> str:
    if [item.id for item in mine.items] != [item.id for item in theirs.items]:
        return f"items {[i.id for i in mine.items]} and {[i.id for i in theirs.items]}"
    scores = [[*(item.score / GRID for item in one.items), one.score / GRID] for one in (mine, theirs)]
    if scores[0] != scores[1]:
        return f"scores {scores[0]} and {scores[1]}"
    return "" if mine.reasons == theirs.reasons else f"reasons {list(mine.reasons)} and {list(theirs.reasons)}"


def first_row(table: str, a: Mapping[bytes, bytes], b: Mapping[bytes, bytes]) -> Difference | None:
    """The first key, by bytes, under which two tables do not hold the same bytes."""
    for key in sorted(a.keys() | b.keys()):
        if a.get(key) != b.get(key):
            sizes = [f"{len(run[key])} bytes" if key in run else "nothing" for run in (a, b)]
            return Difference(f"{table}:{key.decode(errors='replace')}", f"{sizes[0]} and {sizes[1]}, not the same")
    return None
