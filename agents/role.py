"""What the task runtime needs to know of a role, and what it gives a role's work on one task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from streamer.core.campaigns.budget import Spent  # noqa: TC001 -- a row is decoded by the types of its fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.metrics import Metrics
    from agents.outbox import Outbox
    from agents.replicas import Replicas
    from state.store import TaskStore
    from state.table import TableSpec
    from streamer.core.record import Record


NEVER: Final = 1 << 62
"""A time that does not come, milliseconds."""


class TaskRow(msgspec.Struct):
    """The task's own row: the next offset of each input topic (logical name) and its stream time.

    ``timers`` are armed, and no row of table ``due`` is earlier than ``due_ms``. ``spent``: by campaign, what its
    coupons have cost. ``units`` are the role's, which the task's rows were written with; empty of a release that did
    not keep them. Table ``watch`` has ``watched`` rows; they have been told of all changes of the catalog before offset
    ``swept``, and of the one at it those of its watchers that are not after ``swept_after`` ("": none). The row commits
    with everything else, so a task starts from it; the group's offsets only serve lag tools.
    """

    positions: dict[str, int]
    now: int = 0
    timers: int = 0
    due_ms: int = 0
    spent: dict[str, Spent] = {}
    units: dict[str, int] = {}
    watched: int = 0
    swept: int = 0
    swept_after: str = ""

    @property
    def window(self) -> dict[str, int]:
        """Behind which offset of each topic nothing has set off anything yet."""
        return self.positions | ({"catalog": self.swept} if self.swept else {})


@dataclass(slots=True)
class TaskContext:
    """One task as its role sees it."""

    partition: int
    partitions: int
    store: TaskStore
    outbox: Outbox
    row: TaskRow
    topic: Callable[[str], str]
    metrics: Metrics
    replicas: Replicas | None


class Work(Protocol):
    """A role's work on one task. Called by the task loop only; nothing here awaits."""

    @property
    def due_ms(self) -> int:
        """No tick is asked for before this time, milliseconds; ``NEVER`` without timers."""

    @property
    def changes(self) -> int:
        """Changes of the catalog before this offset wait for a tick that tells of them; 0: none do."""

    @property
    def reached(self) -> int:
        """How many shoppers the last ``process`` looked at as their timers were due."""

    def process(self, records: Sequence[Record]) -> Mapping[str, int]:
        """Fold one micro-batch, whose first record may be a tick: write tables, stage output rows.

        Returns what became of the records, ticks left out, for the journal.
        """

    def before_commit(self) -> None:
        """Stage what is combined per commit interval."""


class Role(Protocol):
    """One of the three roles; each is an app id and a consumer group of its own."""

    @property
    def name(self) -> str:
        """Part of the group's, the changelogs' and the transactions' names."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Its input topics by logical name, co-partitioned; records of equal timestamps are folded in this order."""

    @property
    def first(self) -> frozenset[str]:
        """Inputs that are emptied before the others."""

    @property
    def tables(self) -> tuple[TableSpec[Any], ...]:
        """The tables of each task."""

    @property
    def units(self) -> Mapping[str, int]:
        """By name, the settings that its rows cannot be read without (``core.units``)."""

    @property
    def journaled(self) -> bool:
        """Whether each commit writes down on ``journal`` what was folded in which order."""

    @property
    def commit_interval_s(self) -> float:
        """Seconds from the first record folded to the commit."""

    def replicas(self) -> Replicas | None:
        """The compacted topics this role reads whole, or None. Called once a process."""

    def open(self, context: TaskContext) -> Work:
        """Begin work on a task whose tables are restored."""
