"""A micro-batch of one task, from its cut to its folding by the agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streamer.core.record import TICK

if TYPE_CHECKING:
    from agents.task import Task
    from streamer.core.record import Record


class Batch:
    """A micro-batch on its way through the agent; ``done`` resolves when it is folded."""

    def __init__(self, task: Task, records: list[Record]) -> None:
        self.task = task
        self.records = records
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.started = False
        self.withdrawn = False

    def run(self) -> None:
        """Fold the batch, here and now; called by the agent. A withdrawn batch is left alone."""
        if self.withdrawn or self.started:
            return
        self.started = True
        try:
            self.task.fold(self.records)
        except BaseException as exc:
            if not self.done.done():
                self.done.set_exception(exc)
            raise
        if not self.done.done():
            self.done.set_result(None)

    def handed(self, handing: asyncio.Future[None]) -> None:
        """If handing it over failed, the agent will never see it: say so now, rather than wait for the watchdog."""
        if not handing.cancelled() and (failure := handing.exception()) is not None and not self.done.done():
            self.done.set_exception(failure)


def without_tick(records: list[Record]) -> list[Record]:
    """The records of a batch, whose first may be a tick."""
    return records[1:] if records and records[0].topic == TICK else records
