"""Sessions of which only the order is known: ``session_id,pos,item_id``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from streamer.readers.base import BadRow, checked_id, make_line
from streamer.readers.table import TableReader
from streamer.readers.times import LATEST_MS

if TYPE_CHECKING:
    from streamer.core.events import Line

SESSION_MS: Final = 60_000
STEP_MS: Final = 200


class SessionReader(TableReader):
    """Views. A session is a user; it begins a minute after the one before and its clicks are 0.2 s apart."""

    format = "sessions"
    says = "sessions in order: session_id,pos,item_id"
    required: ClassVar = ("session_id", "pos", "item_id")

    def _read(self, cells: tuple[str, ...]) -> tuple[int, str, str, Line | None, str, str]:
        session, pos, item = cells
        try:
            time = int(session) * SESSION_MS + int(pos) * STEP_MS
        except ValueError:
            raise BadRow("session_id or pos is not a whole number") from None
        if not 0 <= time <= LATEST_MS:
            raise BadRow("time is out of range")
        session = checked_id(session, "session")
        return time, session, "view", make_line(item), "", session
