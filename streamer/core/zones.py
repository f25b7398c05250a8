"""Local time in named zones: what ``time_zone`` of the preferences means at a moment.

The core opens no files: the shell reads the zone database (``agents/zones.py``) and hands over its bytes, one TZif file
a zone (RFC 9636), which ``zoneinfo`` reads when a zone is first asked for. Which rules a zone follows changes with the
database, so that its version is part of the policy's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

MINUTE_MS: Final = 60_000
DAY_MINUTES: Final = 1_440
_OFFSET: Final = re.compile(r"(?:UTC|GMT|Z|)(?:([+-])(\d{1,2})(?::?(\d{2}))?)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def minute_of(clock: str) -> int:
    """Minutes after local midnight of ``HH:MM``. Raises ValueError for what is none."""
    hours, colon, minutes = clock.partition(":")
    if len(clock) == 5 and clock.isascii() and colon and hours.isdigit() and minutes.isdigit():
        value = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and value < DAY_MINUTES:
            return value
    raise ValueError(f"{clock!r} is not HH:MM")


class Zones:
    """The zones of one version of the database; fixed offsets (``UTC``, ``+02:00``, ``UTC-5``) need none."""

    __slots__ = ("_files", "_known", "version")

    def __init__(self, files: Mapping[str, bytes], version: str = "") -> None:
        """``files``: by name (``Europe/Berlin``), a TZif file."""
        self._files, self.version = files, version
        self._known: dict[str, ZoneInfo | int | None] = {}

    def __len__(self) -> int:
        """How many zones have a name."""
        return len(self._files)

    def offset_ms(self, zone: str | None, at_ms: int) -> int | None:
        """What local time is ahead of UTC by at a moment; of ``None`` 0. ``None`` for a zone that is not known."""
        name = zone or ""
        if name not in self._known:
            if len(self._known) >= 4096:  # names are the shoppers': they may be any
                self._known.clear()
            self._known[name] = self._find(name)
        found = self._known[name]
        return _ahead_ms(found, at_ms) if isinstance(found, ZoneInfo) else found

    def minute(self, zone: str | None, at_ms: int) -> int | None:
        """The minute of the local day at a moment; ``None`` for a zone that is not known."""
        offset = self.offset_ms(zone, at_ms)
        return None if offset is None else (at_ms + offset) // MINUTE_MS % DAY_MINUTES

    def _find(self, name: str) -> ZoneInfo | int | None:
        match = _OFFSET.fullmatch(name)
        if match is not None:
            sign, hours, minutes = match.groups("0")
            ahead = (int(hours) * 60 + int(minutes)) * MINUTE_MS
            return -ahead if sign == "-" else ahead
        file = self._files.get(name)
        if file is None:
            return None
        try:
            return ZoneInfo.from_file(BytesIO(file), name)
        except ValueError:
            return None


def _ahead_ms(zone: tzinfo, at_ms: int) -> int:
    offset = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).utcoffset()
    assert offset is not None
    return round(offset.total_seconds() * 1000)


NO_ZONES: Final = Zones({})
"""Fixed offsets alone."""
