"""Sends a load at a rate, in a thread of its own, with an idempotent producer that waits for a broker to come back."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.faults.load import Sending, partition_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from tests.faults.load import Load

TICK_S: Final = 0.05
GRACE_S: Final = 30.0
#: For so long it waits for a broker, however busy the machine is: one that gave up would leave a system without load.
PATIENCE_MS: Final = 600_000
WAITING: Final = 2_000


class Publisher:
    """``sent`` counts the records handed to the producer; ``stop()`` waits until the broker has them.

    ``jump_ms`` is how far its wall clock is off, by which it stamps its records.
    """

    def __init__(self, client: Mapping[str, Any], prefix: str, load: Load, *, rate: float, partitions: int) -> None:
        self.sent = self.failed = self.jump_ms = 0
        self._client, self._prefix, self._load = client, prefix, load
        self._rate, self._partitions = rate, partitions
        self._more: list[Sending] = []
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(GRACE_S)

    def stop(self) -> None:
        """Send no more, and see what was sent acknowledged."""
        self._ended.set()
        self._thread.join()
        self.check()

    def also(self, rows: Iterable[Sending]) -> None:
        """Send these next, besides the load."""
        self._more += rows

    def check(self) -> None:
        """Raise what ended it before its time."""
        if self._failure is not None:
            raise RuntimeError("the publisher gave up") from self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._publish())
        except BaseException as failure:  # noqa: BLE001 - told by check(), in the thread that waits for the effects
            self._failure = failure

    async def _publish(self) -> None:
        producer = AIOKafkaProducer(
            **self._client,
            enable_idempotence=True,
            acks="all",
            max_request_size=3 << 20,
            request_timeout_ms=PATIENCE_MS,
        )
        waiting: set[asyncio.Future[Any]] = set()
        before, credit = time.monotonic(), 0.0
        try:
            await producer.start()
            while not self._ended.is_set():
                # At most a second's worth: nobody catches up on an outage.
                now = time.monotonic()
                credit += min(now - before, 1.0) * self._rate
                before = now
                rows, self._more = [*self._more, *self._load.take(int(credit))], []
                credit %= 1.0
                for row in rows:
                    waiting.add(await self._send(producer, row))
                finished = {future for future in waiting if future.done()}
                self.failed += sum(future.exception() is not None for future in finished)
                waiting -= finished
                while len(waiting) > WAITING and not self._ended.is_set():
                    await asyncio.wait(waiting, timeout=TICK_S)
                    waiting = {future for future in waiting if not future.done()}
                await asyncio.sleep(TICK_S)
            for result in await asyncio.gather(*waiting, return_exceptions=True):
                self.failed += isinstance(result, BaseException)
        finally:
            with contextlib.suppress(KafkaError):
                await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, row: Sending) -> asyncio.Future[Any]:
        partition = row.partition
        if partition is None:
            partition = partition_of(row.key, self._partitions) if row.key is not None else self.sent % self._partitions
        self.sent += 1
        headers = list(row.headers)
        stamped = int(time.time() * 1000) + self.jump_ms
        future: asyncio.Future[Any] = await producer.send(
            self._prefix + row.topic,
            row.value,
            key=row.key,
            partition=partition,
            headers=headers,
            timestamp_ms=stamped,
        )
        return future
