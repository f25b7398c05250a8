"""When a task folds, how much at a time, and when it commits. No I/O: the time is an argument.

A batch has a cost of its own and so has a transaction. What is folded before its commit is due is out no sooner; so a
task waits until a whole batch is there or the commit is due. After an idle while the commit is due at once, and a lone
event does not wait. Behind a backlog nobody waits for one event in particular: batches and intervals are longer there.
None of it changes a result, only where batches and commits are cut.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agents.settings import RuntimeSettings

#: A task with a backlog commits once in so many intervals, and its batches are so many times as long. All tasks of a
#: worker take turns: between two looks at anything else, such as its health page, each may fold one batch.
BACKLOG_INTERVALS: Final = 10
BACKLOG_BATCHES: Final = 5

#: So much more than a batch is still one.
WHOLE_BATCHES: Final = 1.5

#: A task stages commits at most one part in so many of its time; what it waits for a core does not count. An item
#: task's staging grows with the items touched, and many of them are the same ones in the next interval: a flood of
#: events makes its intervals longer.
STAGING_ONE_IN: Final = 20

#: A task whose transaction is under way for so many intervals stops folding until it is through: memory is bounded.
STALLED_INTERVALS: Final = 20

#: Its multiples, cut to their fractions, lie well apart however many there are: the tasks of a machine do not commit,
#: nor fold for it, all at once (Knuth, The Art of Computer Programming, 6.4, on Fibonacci hashing).
GOLDEN: Final = (math.sqrt(5) - 1) / 2

#: What was fetched so shortly before a commit is due is as good as what is fetched then; and a task that is due waits
#: so long for the consumer to look.
FRESH_S: Final = 0.005
GRACE_S: Final = 0.025

_FIRST_BATCH: Final = 64
_LEAST_BATCH: Final = 16


class Pace:
    """Of one task. Times are seconds of a clock that only goes forward; ``waiting`` is how many records wait.

    ``turn`` tells tasks apart, which share that clock on one machine: each has its own moment of the interval.
    """

    def __init__(self, settings: RuntimeSettings, interval_s: float, turn: int = 0) -> None:
        self._settings, self._interval_s = settings, interval_s
        self._moment_s = turn * GOLDEN % 1.0 * interval_s
        self._batch = min(_FIRST_BATCH, settings.max_batch_events)
        self._seconds_an_event = 0.0
        self._due_at = 0.0
        self._fetched_at = -math.inf
        #: Of the last batch, which is most often the one that the commit was due for.
        self._folding_s = 0.0

    def fetched(self, now: float) -> None:
        """What had arrived by now is among those that wait."""
        self._fetched_at = now

    @property
    def _ready_at(self) -> float:
        """When the commit is due, or a little later: what came just before it is to be fetched for it."""
        return self._due_at if self._fetched_at >= self._due_at - FRESH_S else self._due_at + GRACE_S

    def took(self, events: int, seconds: float, worked_s: float) -> None:
        """A batch was folded, in so many seconds, for ``worked_s`` of which it had a core.

        The next one is bounded by the work it will be, ``target_batch_ms``, not by count alone. Were it bounded by the
        time, batches would be the smaller, and so cost the more, the busier the machine is.
        """
        self._folding_s = seconds
        rate, known = worked_s / events, self._seconds_an_event
        self._seconds_an_event = 0.8 * known + 0.2 * rate if known else rate
        wanted = int(self._settings.target_batch_ms / 1000 / max(self._seconds_an_event, 1e-7))
        self._batch = max(_LEAST_BATCH, min(self._settings.max_batch_events, wanted))

    def batch(self, waiting: int) -> int:
        """How many records the next batch may have: about ``target_batch_ms`` of work, more behind a backlog.

        A little more than that is not cut in two, as each batch has a cost of its own.
        """
        if waiting >= BACKLOG_INTERVALS * self._batch:
            return min(self._settings.max_batch_events, BACKLOG_BATCHES * self._batch)
        if waiting <= WHOLE_BATCHES * self._batch:
            return min(self._settings.max_batch_events, math.floor(WHOLE_BATCHES * self._batch))
        return self._batch

    def folds(self, now: float, waiting: int, *, committing: bool) -> bool:
        """Whether to fold now: a whole batch is there, or the commit that will carry it is due."""
        return waiting >= self._batch or (not committing and now >= self._ready_at)

    def commits(self, now: float, waiting: int, held_bytes: int, *, committing: bool, cut_short: bool = False) -> bool:
        """Whether what was folded is to be committed now: when the interval is over, later when a backlog waits, or
        when the last batch was ``cut_short`` by its size: what was left is folded first.

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
        elif cut_short:
            more = 1
        return now >= self._ready_at + self._interval_s * more

    def staged(self, now: float, worked_s: float) -> None:
        """A commit was staged, which was so much work: when the next one is due.

        An interval is counted from when the last commit was due, so that folding for it is no part of it; after an idle
        while, from when its batch was begun. It ends at the task's moment, the nearest one. Half an interval lies
        between two commits in any case.
        """
        interval_s = self._interval_s
        began = self._due_at if now < self._due_at + interval_s else now - self._folding_s
        over = began + interval_s
        over += (self._moment_s - over + interval_s / 2) % interval_s - interval_s / 2
        self._due_at = max(over, now + max(interval_s / 2, STAGING_ONE_IN * worked_s))

    def due_in(self, now: float) -> float | None:
        """Seconds until the commit is due; ``None`` if it is."""
        return self._ready_at - now if now < self._ready_at else None

    def looks_in(self, now: float) -> float:
        """Seconds until what has arrived is to be fetched for the commit; 0: it is to be now."""
        return max(0.0, self._due_at - now)
