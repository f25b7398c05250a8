"""The newest events of one user, to know a duplicate by: one row of bytes.

The row is a run of 12-byte entries, oldest first: fingerprint (unsigned 64 bits) and event time in seconds (unsigned
32 bits), little-endian. Bytes rather than a list, as a search in bytes is one C call and the row needs no decoding.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from streamer.core.settings import DAY_MS

LIMIT: Final = 256
WINDOW_S: Final = 7 * DAY_MS // 1000
_ENTRY: Final = Struct("<QI")
_SIZE: Final = _ENTRY.size
_FULL: Final = LIMIT * _SIZE


def check_and_add(row: bytes | None, fingerprint: int, time_ms: int) -> bytes | None:
    """The row with the event in it; ``None`` if the event is a duplicate.

    An event is a duplicate if its fingerprint is among the last 256 of the user's within 7 days. Entries are let go
    from the oldest on, once more than 7 days older than this event; what is older is late before it is a duplicate.
    """
    time_s = time_ms // 1000
    entry = _ENTRY.pack(fingerprint & 0xFFFF_FFFF_FFFF_FFFF, time_s)
    if not row:
        return entry
    mark = entry[:8]
    at = row.find(mark)
    while at != -1:
        if at % _SIZE == 0:
            return None
        # The eight bytes may also lie across two entries.
        at = row.find(mark, at + 1)
    start = len(row) + _SIZE - _FULL if len(row) >= _FULL else 0
    horizon = time_s - WINDOW_S
    while start < len(row) and _ENTRY.unpack_from(row, start)[1] < horizon:
        start += _SIZE
    return row[start:] + entry if start else row + entry
