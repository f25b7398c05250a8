"""Times as files write them, to milliseconds since the epoch, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from streamer.readers.base import BadRow

LATEST_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that RFC 3339 can write."""

_SECONDS_BELOW: Final = 100_000_000_000
"""A number below it means seconds (it is the year 5138 as seconds, 1973 as milliseconds)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@lru_cache(maxsize=1 << 12)
def from_text(text: str) -> int:
    """ISO 8601 (also with a space, or ``UTC`` behind it; without a zone it is UTC) or a number. Raises BadRow."""
    text = text.strip()
    if text.replace(".", "", 1).isdigit():
        return from_number(text)
    try:
        moment = datetime.fromisoformat(text.removesuffix("UTC").rstrip())
    except ValueError:
        raise BadRow("time cannot be read") from None
    return from_datetime(moment)


@lru_cache(maxsize=1 << 12)
def from_number(text: str, unit_ms: int | None = None) -> int:
    """Seconds or milliseconds since the epoch: ``unit_ms`` 1000 or 1, told by size if None. Raises BadRow."""
    try:
        value = float(text)
        milliseconds = value * (unit_ms or (1000 if value < _SECONDS_BELOW else 1))
        time = int(text) * unit_ms if unit_ms and text.isdigit() else round(milliseconds)
    except (ValueError, OverflowError):
        raise BadRow("time cannot be read") from None
    if not 0 <= time <= LATEST_MS:
        raise BadRow("time is out of range")
    return time


@lru_cache(maxsize=1 << 12)
def from_american(text: str) -> int:
    """``12/1/2010 8:26``, as spreadsheets of the Online Retail set have it, or ISO 8601. Raises BadRow."""
    if "/" not in text:
        return from_text(text)
    for layout in ("%m/%d/%Y %H:%M", "%m/%d/%y %H:%M", "%m/%d/%Y %H:%M:%S"):
        try:
            return from_datetime(datetime.strptime(text.strip(), layout))  # noqa: DTZ007 -- no zone in the file: UTC is meant
        except ValueError:
            continue
    raise BadRow("time cannot be read")


def from_datetime(moment: datetime) -> int:
    """Milliseconds since the epoch, cut; a moment without a zone is UTC. Raises BadRow outside 1970 to 9999."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    time = (moment - _EPOCH) // _MILLISECOND
    if not 0 <= time <= LATEST_MS:
        raise BadRow("time is out of range")
    return time
