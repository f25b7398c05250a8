"""The CSV to write when a log is in none of the known formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from streamer.readers import times
from streamer.readers.base import LIMITS, check_needs, checked_id, checked_session, make_line
from streamer.readers.table import TableReader

if TYPE_CHECKING:
    from streamer.core.events import Line


class GenericReader(TableReader):
    """Any registered type but feedback and preferences, one item a row; the time is ISO 8601 or a number since 1970."""

    format = "csv"
    says = "generic CSV: time,user,type,item and, if you have them, query,category,price,quantity,title,brand,session"
    required: ClassVar = ("time", "user", "type")
    optional: ClassVar = ("item", "query", "category", "price", "quantity", "title", "brand", "session")

    def _read(self, cells: tuple[str, ...]) -> tuple[int, str, str, Line | None, str, str]:
        time, user, kind, item, query, category, price, quantity, title, brand, session = cells
        kind = kind.strip().lower()
        line = make_line(item, price, quantity, category, brand, title) if item else None
        query = query.strip()[: LIMITS.query_chars].rstrip()
        check_needs(kind, line, query)
        return times.from_text(time), checked_id(user, "user"), kind, line, query, checked_session(session)
