"""Puts events of a log on Kafka, open-loop: by a schedule, whatever the consumers do.

Each record says in the header ``produced_at`` when it was *due*, not when it was sent, so that whoever measures latency
from it also counts what a record waited here (no coordinated omission).

Kafka timestamps rise by at least a millisecond from event to event. Consumers merge topics by timestamp, so the order
of the log survives even where many events share a millisecond; to make room, the first timestamps lie in the past. None
is earlier than its event's time, unless the event itself is to come.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from streamer.core.partition import partition_of
from streamer.readers.base import Reader
from streamer.readers.catalog import open_catalog
from streamer.readers.envelope import to_envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from streamer.core.events import Event

    Progress = Callable[[int, int, float], None]

PRODUCED_AT: Final = "produced_at"
CATALOG: Final = "catalog"
LATE_S: Final = 0.05
"""A send counts as late if it is made this long after it was due."""

PAUSE_S: Final = 0.004
"""The shortest pause: what falls due within it is sent together, at most this much late."""

PROGRESS_S: Final = 0.2
BURST: Final = 500
"""Records handed over before others on the event loop get their turn."""

PRODUCER: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable_idempotence": True,
    "max_batch_size": 1 << 18,
    "max_request_size": 1 << 22,
}
"""What the producer is told unless the caller's client settings say otherwise."""


class PublishError(RuntimeError):
    """Kafka did not take a record; the message says why."""


async def publish(
    events: Iterable[Event],
    client: Mapping[str, Any],
    *,
    prefix: str = "",
    rate: float = 0.0,
    limit: int | None = None,
    keep_times: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Send ``events``, which are in time order, to their types' topics, keyed by user, and see them acknowledged.

    ``client`` is aiokafka's own arguments (``bootstrap_servers``, security); ``rate`` is events a second, 0 for as fast
    as possible; ``limit`` is how many events to take. Times are shifted so that the last event is now, unless
    ``keep_times``. ``progress`` is called about five times a second, and at the end, with the number sent, the number
    in all and seconds. A reader is gone through twice rather than held; an iterator is held.

    Returns ``published``, ``by_topic``, ``seconds``, ``events_per_second``, ``late`` (sends more than 50 ms after they
    were due), ``latest_ms`` (the worst of them) and ``shift_ms``. Raises PublishError, and what aiokafka raises if it
    finds no broker. When cancelled, it sends no more, waits for what was handed over, and ends.
    """
    events, total, last_ms = _look_through(events, limit)
    by_topic: Counter[str] = Counter()
    late, latest_s = 0, 0.0
    async with _Outlet(client, batched=not rate) as outlet:
        started, start_ms = time.monotonic(), time.time() * 1000
        shift_ms = 0 if keep_times else int(start_ms) - last_ms
        stamps = Stamps(start_ms, total, rate)
        told = started
        for number, event in enumerate(islice(events, total)):
            now = time.monotonic()
            if rate:
                due = started + number / rate
                if due > now:
                    await asyncio.sleep(max(due - now, PAUSE_S))
                    now = time.monotonic()
                latest_s = max(latest_s, now - due)
                late += now - due > LATE_S
                produced_at = int(start_ms + number * 1000 / rate)
            else:
                produced_at = int(time.time() * 1000)
            topic, key, value = to_envelope(event, shift_ms)
            stamp = stamps.of(number, event.time + shift_ms)
            await outlet.put(prefix + topic, Message(key, value, stamp, [(PRODUCED_AT, b"%d" % produced_at)]))
            by_topic[topic] += 1
            if progress is not None and now - told > PROGRESS_S:
                told = now
                progress(number + 1, total, now - started)
        await outlet.flush()
    seconds = time.monotonic() - started
    if progress is not None:
        progress(total, total, seconds)
    return {
        "published": total,
        "by_topic": dict(sorted(by_topic.items())),
        "seconds": round(seconds, 3),
        "events_per_second": round(total / max(seconds, 1e-9), 1),
        "late": late,
        "latest_ms": round(latest_s * 1000, 1),
        "shift_ms": shift_ms,
    }


async def publish_catalog(path: Path, client: Mapping[str, Any], *, prefix: str = "", topic: str = CATALOG) -> int:
    """Send a catalog file's items, keyed by item id. Returns how many. Raises ReaderError and PublishError."""
    count = 0
    async with _Outlet(client, batched=True) as outlet:
        for item, value in open_catalog(path):
            await outlet.put(prefix + topic, Message(item.encode(), value, int(time.time() * 1000), []))
            count += 1
        await outlet.flush()
    return count


class Stamps:
    """Kafka timestamps, ms since the epoch, for ``total`` events sent at ``rate`` (0: at once) from ``start_ms`` on.

    They follow the schedule where it leaves a millisecond an event. Where it does not, they are a millisecond apart and
    end when the schedule ends. An event's own time, up to the start, is the least its timestamp may be.
    """

    def __init__(self, start_ms: float, total: int, rate: float) -> None:
        self._start = int(start_ms)
        self._step = max(1.0, 1000 / rate) if rate else 1.0
        self._first = start_ms + max(total - 1, 0) * ((1000 / rate if rate else 0.0) - self._step)

    def of(self, number: int, time_ms: int) -> int:
        """The timestamp of event ``number`` (from 0), which happened at ``time_ms``."""
        return max(min(time_ms, self._start), int(self._first + number * self._step))


def _look_through(events: Iterable[Event], limit: int | None) -> tuple[Iterable[Event], int, int]:
    """The events, how many to take of them, and the time of the last."""
    if isinstance(events, Reader) and limit is None and events.survey.in_order:
        return events, events.survey.events, events.survey.last_ms
    if isinstance(events, Iterator):
        events = list(islice(events, limit))
    if isinstance(events, Sequence):
        total = len(events) if limit is None else min(limit, len(events))
        return events, total, events[total - 1].time if total else 0
    total = last_ms = 0
    for event in islice(events, limit):
        total += 1
        last_ms = event.time
    return events, total, last_ms


class Message(NamedTuple):
    """A record to send; the timestamp is milliseconds since the epoch."""

    key: bytes
    value: bytes
    timestamp: int
    headers: Sequence[tuple[str, bytes]]


class _Outlet:
    """A producer that takes records one by one, and sends them one by one or, ``batched``, in whole batches."""

    def __init__(self, client: Mapping[str, Any], *, batched: bool) -> None:
        self._client = {**PRODUCER, **client}
        self._batched = batched
        self._partitions: dict[str, int] = {}
        self._batches: dict[tuple[str, int], Any] = {}
        self._failure: BaseException | None = None
        self._taken = 0

    async def __aenter__(self) -> Self:
        # Here and not before, since a producer wants a running event loop.
        self._producer = AIOKafkaProducer(**self._client)
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def put(self, topic: str, message: Message) -> None:
        """Hand over a record. Raises PublishError if an earlier one was refused."""
        self._check()
        partitions = self._partitions.get(topic)
        if partitions is None:
            try:
                partitions = self._partitions[topic] = len(await self._producer.partitions_for(topic))
            except UnknownTopicOrPartitionError:
                raise PublishError(f"there is no topic {topic}: run `streamer topics create`") from None
        partition = partition_of(message.key.decode(), partitions)
        if self._batched:
            batch = self._batches.get((topic, partition))
            if batch is None or not _append(batch, message):
                if batch is not None:
                    await self._send_batch(topic, partition)
                batch = self._batches[topic, partition] = self._producer.create_batch()
                _append(batch, message)
        else:
            key, value, timestamp, headers = message
            try:
                sent = await self._producer.send(
                    topic, value, key, partition=partition, timestamp_ms=timestamp, headers=headers
                )
            except (MessageSizeTooLargeError, KafkaTimeoutError) as error:
                raise PublishError(f"Kafka refused a record: {error!r}") from error
            sent.add_done_callback(self._acknowledged)
        self._taken += 1
        if self._taken % BURST == 0:
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Wait until everything is acknowledged. Raises PublishError if something was refused."""
        for topic, partition in list(self._batches):
            await self._send_batch(topic, partition)
        await self._producer.flush()
        # The futures' callbacks run a turn after their futures are done.
        await asyncio.sleep(0)
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise PublishError(f"Kafka refused a record: {self._failure!r}") from self._failure

    async def _send_batch(self, topic: str, partition: int) -> None:
        batch = self._batches.pop((topic, partition))
        batch.close()
        sent = await self._producer.send_batch(batch, topic, partition=partition)
        sent.add_done_callback(self._acknowledged)

    def _acknowledged(self, sent: asyncio.Future[Any]) -> None:
        if not sent.cancelled() and self._failure is None:
            self._failure = sent.exception()


def _append(batch: Any, message: Message) -> bool:
    """Whether there was room for the message; a batch has always room for its first."""
    key, value, timestamp, headers = message
    return batch.append(timestamp=timestamp, key=key, value=value, headers=headers) is not None
