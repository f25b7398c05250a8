"""The order in which a task folds the records of its topics.

Records of one topic keep their offset order. Across topics the smallest Kafka timestamp goes first, ties by the topic's
rank (its place in the role's list), except that ``first`` topics (an opt-out must not wait behind a
backlog of views) are emptied before the others. A topic that has lag but nothing buffered is waited for,
at most ``wait_s`` seconds; a topic read to its end is not waited for.

The order chosen is a fact only once it is in the journal: a restart follows positions, not this rule.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.record import Record


def size_of(record: Record) -> int:
    """Bytes of a record's key, value and headers."""
    size = len(record.key or b"") + len(record.value or b"")
    for name, value in record.headers:
        size += len(name) + len(value or b"")
    return size


class Merge:
    """Buffers of one task, one a topic, and the rule that cuts micro-batches from them."""

    def __init__(self, topics: Sequence[str], *, first: frozenset[str] = frozenset(), wait_s: float = 0.2) -> None:
        self._buffers: dict[str, deque[Record]] = {topic: deque() for topic in topics}
        self._bytes = dict.fromkeys(topics, 0)
        self._rank = {topic: rank for rank, topic in enumerate(topics)}
        self._first = [topic for topic in topics if topic in first]
        self._rest = [topic for topic in topics if topic not in first]
        self._at_end: dict[str, bool] = dict.fromkeys(topics, False)
        self._wait_s = wait_s
        self._waiting_since: float | None = None

    def feed(self, topic: str, records: Iterable[Record]) -> None:
        """Append fetched records of ``topic``, in offset order."""
        records = list(records)
        self._buffers[topic].extend(records)
        self._bytes[topic] += sum(map(size_of, records))

    def mark(self, topic: str, *, at_end: bool) -> None:
        """Say whether the fetcher has read ``topic`` to its end."""
        self._at_end[topic] = at_end

    def buffered(self, topic: str) -> int:
        """How many records of ``topic`` wait here."""
        return len(self._buffers[topic])

    def buffered_bytes(self, topic: str) -> int:
        """How many bytes of keys, values and headers they have."""
        return self._bytes[topic]

    def __len__(self) -> int:
        return sum(map(len, self._buffers.values()))

    @property
    def drained(self) -> bool:
        """Whether every topic has been read to its end and nothing of it waits here."""
        return all(self._at_end.values()) and not any(self._buffers.values())

    def clear(self) -> None:
        """Forget everything buffered: the consumer will be sent back to the applied positions."""
        for topic, buffer in self._buffers.items():
            buffer.clear()
            self._bytes[topic] = 0
            self._at_end[topic] = False
        self._waiting_since = None

    def put_back(self, batch: Sequence[Record]) -> None:
        """Return a batch that was cut but not folded, as if it had never been cut."""
        for record in reversed(batch):
            self._buffers[record.topic].appendleft(record)
            self._bytes[record.topic] += size_of(record)

    def wait_left(self, now: float) -> float | None:
        """Seconds until a topic with lag is given up on; None when nothing is waited for."""
        if self._waiting_since is None:
            return None
        return max(0.0, self._waiting_since + self._wait_s - now)

    def cut(self, limit: int, now: float) -> list[Record]:
        """Take at most ``limit`` records in order; empty when there are none or one topic is waited for.

        ``now`` is a monotonic clock in seconds, used only to bound the wait.
        """
        buffers = self._buffers
        behind = any(not buffer and not self._at_end[topic] for topic, buffer in buffers.items())
        if not behind:
            self._waiting_since = None
        elif not any(buffers.values()):
            return []
        else:
            if self._waiting_since is None:
                self._waiting_since = now
            if now - self._waiting_since < self._wait_s:
                return []
        batch: list[Record] = []
        for topic in self._first:
            buffer = buffers[topic]
            while buffer and len(batch) < limit:
                batch.append(buffer.popleft())
        self._take_by_time(batch, limit)
        for record in batch:
            self._bytes[record.topic] -= size_of(record)
        return batch

    def _take_by_time(self, batch: list[Record], limit: int) -> None:
        heads = sorted(
            (buffer[0].timestamp, self._rank[topic], topic) for topic in self._rest if (buffer := self._buffers[topic])
        )
        while heads and len(batch) < limit:
            _, rank, topic = heads.pop(0)
            buffer = self._buffers[topic]
            # Everything of this topic that comes before the next topic's head goes in one run.
            bound = heads[0][:2] if heads else None
            while buffer and len(batch) < limit and (bound is None or (buffer[0].timestamp, rank) < bound):
                batch.append(buffer.popleft())
            if buffer:
                heads.append((buffer[0].timestamp, rank, topic))
                heads.sort()
