"""Taobao UserBehavior (Alibaba Tianchi), with a header or, as first published, without."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from streamer.readers import times
from streamer.readers.base import BadRow, checked_id, make_line
from streamer.readers.table import TableReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.core.events import Line

TYPES: Final = {"pv": "view", "fav": "wishlist", "cart": "cart", "buy": "purchase"}
COLUMNS: Final = ("user_id", "item_id", "category_id", "behavior", "timestamp")


class TaobaoReader(TableReader):
    """Views, favourites, carts and purchases with a category; the time is in seconds."""

    format = "taobao"
    says = "Taobao UserBehavior: user_id,item_id,category_id,behavior,timestamp"
    required: ClassVar = COLUMNS

    def _read(self, cells: tuple[str, ...]) -> tuple[int, str, str, Line | None, str, str]:
        user, item, category, behaviour, time = cells
        kind = TYPES.get(behaviour)
        if kind is None:
            raise BadRow("unknown type")
        return times.from_number(time, 1000), checked_id(user, "user"), kind, make_line(item, "", "", category), "", ""


class HeaderlessTaobaoReader(TaobaoReader):
    """The same five columns without their names."""

    says = "Taobao UserBehavior without a header: its five columns in that order"

    @classmethod
    def recognises(cls, cells: tuple[str, ...]) -> bool:
        """Whether the first line already is a row."""
        return len(cells) == len(COLUMNS) and cells[3] in TYPES and all(cells[i].isdigit() for i in (0, 1, 2, 4))

    def _header(self, lines: Iterator[list[str]]) -> list[str]:  # noqa: ARG002 -- the first line is a row
        return list(COLUMNS)
