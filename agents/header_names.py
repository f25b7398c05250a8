r"""A header whose name is not UTF-8: the protocol asks for it, brokers take any bytes, and aiokafka raises at others.

It raises for the whole batch whenever it is fetched, so that one such record, as clients in C or Go can write it, would
stop its partition for ever. Such a batch is read again in Python, and bytes that are no UTF-8 are spelt ``\xff``.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import aiokafka.consumer.fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

_LENGTH: Final = struct.Struct(">8xi")
_MAGIC_AT: Final = 16


class _Bytes(bytearray):
    """Bytes whose parts decode whatever they are."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Bytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:  # noqa: ARG002
        return super().decode(encoding, "backslashreplace")


class _SlowBatch(_DefaultRecordBatchPy):
    def __iter__(self) -> _SlowBatch:
        self._maybe_uncompress()
        self._buffer: bytearray = _Bytes(self._buffer)
        return self


class _Batch:
    """A batch of aiokafka's, and the bytes it was made from."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch, self._raw = batch, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Any:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return iter(_SlowBatch(self._raw))


class Records:
    """What a fetch answered of one partition, batch by batch: ``MemoryRecords`` in all but this."""

    def __init__(self, answer: bytes) -> None:
        self._records = MemoryRecords(answer)
        self._rest = memoryview(answer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> Any:
        """The next batch; ``None`` after the last."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        size = 12 + _LENGTH.unpack_from(self._rest)[0]
        raw, self._rest = self._rest[:size], self._rest[size:]
        return _Batch(batch, raw) if raw[_MAGIC_AT] >= 2 else batch


def take_any() -> None:
    """From now on aiokafka's consumers of this process take header names of any bytes."""
    aiokafka.consumer.fetcher.MemoryRecords = Records
