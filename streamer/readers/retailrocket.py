"""RetailRocket ``events.csv``, as published on Kaggle."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from streamer.readers import times
from streamer.readers.base import BadRow, checked_id, make_line
from streamer.readers.table import TableReader

if TYPE_CHECKING:
    from streamer.core.events import Line

TYPES: Final = {"view": "view", "addtocart": "cart", "transaction": "purchase"}


class RetailRocketReader(TableReader):
    """Views, carts and purchases, items only; the time is in milliseconds. The file is not in time order."""

    format = "retailrocket"
    says = "RetailRocket: timestamp,visitorid,event,itemid,transactionid"
    required: ClassVar = ("timestamp", "visitorid", "event", "itemid")

    def _read(self, cells: tuple[str, ...]) -> tuple[int, str, str, Line | None, str, str]:
        time, user, event, item = cells
        kind = TYPES.get(event)
        if kind is None:
            raise BadRow("unknown type")
        return times.from_number(time, 1), checked_id(user, "user"), kind, make_line(item), "", ""
