"""The journal of a task as replay follows it: which records each commit folded, cut and pinned as then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from streamer.core.record import TICK
from streamer.replay.errors import ReplayRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from streamer.replay.log import Log

Run = tuple[str, int, int]
"""Logical topic, first and last offset: folded one after the other. Of a tick: ``TICK``, time in milliseconds, and up
to which offset it tells of changes of the catalog (0: of none).
"""


class Batch(msgspec.Struct):
    """A micro-batch: its runs in order, what became of its records, and where each replica stood (next offsets)."""

    runs: list[Run]
    counts: dict[str, int]
    replicas: dict[str, list[int]]

    @property
    def records(self) -> int:
        """How many records were folded, ticks left out."""
        return sum(last - first + 1 for topic, first, last in self.runs if topic != TICK)


class Commit(msgspec.Struct):
    """What one transaction folded, and the task's stream time after it, milliseconds.

    ``tables``: by table, how far its changelog was before (next offset); read up to there, it is the table it began
    from. Empty in rows older than this field.
    """

    now: int
    batches: list[Batch]
    tables: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Row:
    """A commit and where it lies in the journal; ``timestamp`` is when it was written, milliseconds."""

    offset: int
    timestamp: int
    commit: Commit


@dataclass(slots=True)
class Outline:
    """What a stretch of the journal will ask for.

    ``first`` and ``after``: by topic, the first offset named and the one after the last. ``begins_ms``: when its first
    row was written, 0 without rows. ``pinned``: the replicas' offsets of the first micro-batch.
    """

    rows: int = 0
    records: int = 0
    begins_ms: int = 0
    first: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    pinned: dict[str, list[int]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Count a row in."""
        if not self.rows:
            self.begins_ms, self.pinned = row.timestamp, row.commit.batches[0].replicas
        self.rows += 1
        for batch in row.commit.batches:
            self.records += batch.records
            for topic, first, last in batch.runs:
                if topic == TICK:
                    continue
                self.first.setdefault(topic, first)
                self.after[topic] = last + 1


async def rows(log: Log, end: int, to_ms: int) -> AsyncIterator[Row]:
    """The rows below offset ``end`` written before ``to_ms``; raises ``ReplayRefused`` at one that cannot be read."""
    decode = msgspec.json.Decoder(Commit).decode
    while some := await log.until(end):
        for record in some:
            if record.timestamp >= to_ms:
                return
            try:
                commit = decode(record.value)
            except (msgspec.DecodeError, TypeError) as error:
                where = f"{record.topic}:{record.partition}:{record.offset}"
                raise ReplayRefused(f"{where} is no row of a journal: {error}") from error
            if commit.batches:
                yield Row(record.offset, record.timestamp, commit)
