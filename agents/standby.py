"""Warm copies: the tables of tasks that other workers own, kept up to date from their changelogs.

When an owner is lost, the assignor gives its task to the worker that has the copy, which then lacks the tail of the
changelogs alone. Switched on by ``standby_replicas = 1``; it costs this worker the disk, and the reading of every row.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaError

from agents.recovery import ChangelogTruncatedError, follow
from state.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from agents.metrics import Metrics
    from agents.stores import Stores
    from state.store import TaskStore

log = logging.getLogger(__name__)

RETRY_S: Final = 1.0


class Standbys:
    """The copies this process keeps. ``keep`` says which; ``take`` opens a task's own store, which its copy becomes."""

    def __init__(
        self, stores: Stores, changelogs: Mapping[str, str], client: Mapping[str, Any], metrics: Metrics
    ) -> None:
        """``changelogs`` maps a table's name to its physical topic."""
        self._stores, self._changelogs, self._client, self._metrics = stores, changelogs, client, metrics
        self._copies: dict[int, _Copy] = {}

    async def keep(self, partitions: Iterable[int], of: int, leave: Iterable[int] = ()) -> None:
        """Keep copies of these tasks (of ``of`` in all), begin those that are new and close those no longer wanted.

        Those in ``leave`` are about to be taken.
        """
        wanted = set(partitions)
        for partition in self._copies.keys() - wanted - set(leave):
            await self._close(partition)
        for partition in sorted(wanted - self._copies.keys()):
            try:
                store = self._stores.open_copy(partition, of)
            except StateError as error:
                log.warning("no warm copy of task %d: %s", partition, error)
                continue
            copy = self._copies[partition] = _Copy(store)
            copy.start(partial(follow, store, self._changelogs, partition, self._client, self._metrics))
        self._metrics.standbys(len(self._copies))

    async def take(self, partition: int, partitions: int) -> TaskStore:
        """The task's own store, which the copy becomes if there is one."""
        if partition in self._copies:
            await self._close(partition)
        return await self._stores.open(partition, partitions)

    async def _close(self, partition: int) -> None:
        await self._copies.pop(partition).stop()
        # What is kept no more is not behind.
        self._metrics.standby_lag(partition, 0)

    async def close(self) -> None:
        """Close all copies; they stay on disk for the next start."""
        await self.keep((), 0)


class _Copy:
    def __init__(self, store: TaskStore) -> None:
        self.store = store
        self._following: asyncio.Task[None] | None = None

    def start(self, following: Callable[[], Awaitable[None]]) -> None:
        self._following = asyncio.get_running_loop().create_task(_for_ever(following))

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        self.store.close()


async def _for_ever(following: Callable[[], Awaitable[None]]) -> None:
    """A copy that cannot be kept must not stop the worker that keeps it: it costs time at a take-over, nothing else."""
    while True:
        try:
            await following()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # After an outage a consumer that is closed may let out a cancellation of its own.
            await asyncio.sleep(RETRY_S)
        except (KafkaError, StateError, ChangelogTruncatedError, OSError, TimeoutError) as error:
            log.warning("a warm copy stands still: %s: %s", type(error).__name__, error)
            await asyncio.sleep(RETRY_S)
