"""What one commit will send, grouped by partition, and the journal's runs."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from streamer.core.record import TICK, changes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from streamer.core.record import Record

Headers = tuple[tuple[str, bytes], ...]


Row = tuple[bytes | None, bytes | None, Headers, int | None]
"""One record to produce: key, value, headers, and timestamp in milliseconds; None lets the producer stamp it."""


class Outbox:
    """Rows staged for the next transaction. The partition is always named: nothing is left to a partitioner."""

    def __init__(self) -> None:
        self._rows: defaultdict[tuple[str, int], list[Row]] = defaultdict(list)
        self.size_bytes = 0
        """Of all keys and values staged."""

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        *,
        timestamp: int | None = None,
    ) -> None:
        """Stage one record for ``topic`` (physical name) and ``partition``."""
        self._rows[topic, partition].append((key, value, headers, timestamp))
        self.size_bytes += len(key or b"") + len(value or b"")

    def __iter__(self) -> Iterator[tuple[tuple[str, int], list[Row]]]:
        return iter(self._rows.items())

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def take(self) -> Outbox:
        """Hand over everything staged and start anew."""
        taken = Outbox()
        taken._rows, self._rows = self._rows, defaultdict(list)
        taken.size_bytes, self.size_bytes = self.size_bytes, 0
        return taken


def runs(records: Iterable[Record], into: list[list[str | int]]) -> None:
    """Extend a journal's run-length list ``[topic, first offset, last offset]`` by the records folded, in order.

    A tick is a run of its own, ``["tick", time in milliseconds, up to where it tells of changes of the catalog]``.
    """
    last = into[-1] if into else None
    for record in records:
        if record.topic == TICK:
            last = None
            into.append([TICK, record.offset, changes_of(record)])
        elif last is not None and last[0] == record.topic and last[2] == record.offset - 1:
            last[2] = record.offset
        else:
            last = [record.topic, record.offset, record.offset]
            into.append(last)


def positions_after(records: Sequence[Record]) -> dict[str, int]:
    """The next offset to read of each topic, once ``records``, without ticks, are folded."""
    return {record.topic: record.offset + 1 for record in records}


#: Of so many records one has its latency observed; the first of a batch always.
OBSERVED_ONE_IN = 8


def produced_times(records: Sequence[Record]) -> list[int]:
    """The ``produced_at`` header (epoch milliseconds) of those records observed that carry a readable one."""
    return [
        int(value)
        for record in records[::OBSERVED_ONE_IN]
        for name, value in record.headers
        if name == "produced_at" and value and value.isdigit() and len(value) < 16  # a header may be without a value
    ]
