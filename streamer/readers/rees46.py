"""REES46 / Open CDP "eCommerce behavior data from multi category store"."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from streamer.readers import times
from streamer.readers.base import BadRow, checked_id, checked_session, make_line
from streamer.readers.table import TableReader

if TYPE_CHECKING:
    from streamer.core.events import Line

TYPES: Final = frozenset({"view", "cart", "remove_from_cart", "purchase"})


class Rees46Reader(TableReader):
    """Views, carts and purchases with brand and price. The category is its code, or its number where it has none."""

    format = "rees46"
    says = "REES46: event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
    required: ClassVar = ("event_time", "event_type", "product_id", "user_id")
    optional: ClassVar = ("category_id", "category_code", "brand", "price", "user_session")

    def _read(self, cells: tuple[str, ...]) -> tuple[int, str, str, Line | None, str, str]:
        time, kind, item, user, category_id, category_code, brand, price, session = cells
        if kind not in TYPES:
            raise BadRow("unknown type")
        line = make_line(item, price, "", category_code or category_id, brand)
        return times.from_text(time), checked_id(user, "user"), kind, line, "", checked_session(session)
