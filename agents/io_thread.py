"""Producers on an event loop of their own, in a thread of their own.

A transaction is half a dozen round trips, one after the other. On the tasks' event loop each answer would wait for the
micro-batch in hand, 20 ms and more; here it waits for the interpreter lock, which a thread that asks gets within
``SWITCH_S``. Core code stays on the tasks' loop: only sending and committing happens here.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Future

    from agents.outbox import Outbox
    from agents.transaction import Committer, Offsets

T = TypeVar("T")

#: How long a thread may keep the interpreter from another that asks for it (Python's default is 5 ms).
SWITCH_S: Final = 0.001


class IoThread:
    """An event loop in a daemon thread, from the first use on."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin a coroutine there, after those begun before; nothing is waited for."""
        if self._loop is None:
            sys.setswitchinterval(SWITCH_S)
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, name="producers", daemon=True).start()
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it here."""
        return await asyncio.wrap_future(self.begin(work))


class ThreadedCommitter:
    """A committer that lives in the I/O thread. ``make`` is called there, as a producer belongs to its loop."""

    def __init__(self, thread: IoThread, make: Callable[[], Committer]) -> None:
        self._thread, self._make = thread, make
        self._inner: Committer | None = None
        self._ahead: Future[None] | None = None

    async def start(self) -> None:
        """As of the inner one."""

        async def begin() -> None:
            self._inner = self._make()
            await self._inner.start()

        await self._thread.run(begin())

    def ahead(self) -> None:
        """As of the inner one, beside whatever this thread does next. What it raises, ``commit`` raises."""

        async def begin() -> None:
            assert self._inner is not None
            self._inner.ahead()

        self._ahead = self._thread.begin(begin())

    async def commit(self, outbox: Outbox, offsets: Mapping[tuple[str, int], int]) -> Offsets:
        """As of the inner one. The outbox must not be touched meanwhile."""
        assert self._inner is not None
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            await asyncio.wrap_future(ahead)
        return await self._thread.run(self._inner.commit(outbox, offsets))

    async def close(self) -> None:
        """As of the inner one; without a start there is nothing to close."""
        if self._inner is not None:
            await self._thread.run(self._inner.close())
