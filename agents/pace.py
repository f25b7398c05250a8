"""When a task folds, how much at a time, and when it commits. No I/O: the time is an argument.

A batch has a cost of its own and so has a transaction. What is folded before its commit is due is out no sooner; so a
task waits until a whole batch is there or the commit is due. After an idle while the commit is due at once, and a lone
event does not wait. Behind a backlog nobody waits for one event in particular: batches and intervals are longer there.
None of it changes a result, only where batches and commits are cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agents.settings import RuntimeSettings

#: A task with a backlog commits once in so many intervals, and its batches are so many times as long. All tasks of a
#: worker take turns: between two looks at anything else, such as its health page, each may fold one batch.
BACKLOG_INTERVALS: Final = 10
BACKLOG_BATCHES: Final = 5

#: A task stages commits at most one part in so many of its time. An item task's staging grows with the items touched,
#: and many of them are the same ones in the next interval: a flood of events makes its intervals longer.
STAGING_ONE_IN: Final = 20

#: A task whose transaction is under way for so many intervals stops folding until it is through: memory is bounded.
STALLED_INTERVALS: Final = 20

_FIRST_BATCH: Final = 64
_LEAST_BATCH: Final = 16


class Pace:
    """Of one task. Times are seconds of a clock that only goes forward; ``waiting`` is how many records wait."""

    def __init__(self, settings: RuntimeSettings, interval_s: float) -> None:
        self._settings, self._interval_s = settings, interval_s
        self._batch = min(_FIRST_BATCH, settings.max_batch_events)
        self._seconds_an_event = 0.0
        self._due_at = 0.0

    def took(self, events: int, seconds: float) -> None:
        """A batch was folded: bound the next one by the time it will take, ``target_batch_ms``, not by count alone."""
        rate, known = seconds / events, self._seconds_an_event
        self._seconds_an_event = 0.8 * known + 0.2 * rate if known else rate
        wanted = int(self._settings.target_batch_ms / 1000 / max(self._seconds_an_event, 1e-7))
        self._batch = max(_LEAST_BATCH, min(self._settings.max_batch_events, wanted))

    def batch(self, waiting: int) -> int:
        """How many records the next batch may have: about ``target_batch_ms`` of work, more behind a backlog."""
        if waiting >= BACKLOG_INTERVALS * self._batch:
            return min(self._settings.max_batch_events, BACKLOG_BATCHES * self._batch)
        return self._batch

    def folds(self, now: float, waiting: int, *, committing: bool) -> bool:
        """Whether to fold now: a whole batch is there, or the commit that will carry it is due."""
        return waiting >= self._batch or (not committing and now >= self._due_at)

    def commits(self, now: float, waiting: int, held_bytes: int, *, committing: bool) -> bool:
        """Whether what was folded is to be committed now: when the interval is over, later when a backlog waits.

        While a transaction is under way the next is put off, within bounds of time and of memory: one that is due waits
        for it, and folding waits with it.
        """
        if held_bytes >= self._settings.commit_bytes:
            return True
        more = 0
        if committing:
            more = STALLED_INTERVALS
        elif waiting >= self._batch:
            more = BACKLOG_INTERVALS
        return now >= self._due_at + self._interval_s * more

    def staged(self, started: float, ended: float) -> None:
        """A commit was staged in that time: when the next one is due."""
        self._due_at = ended + max(self._interval_s, STAGING_ONE_IN * (ended - started))

    def due_in(self, now: float) -> float | None:
        """Seconds until the commit is due; ``None`` if it is."""
        return self._due_at - now if now < self._due_at else None
