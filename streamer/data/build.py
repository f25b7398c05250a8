"""Makes the bundled catalog out of the bundled events: ``python -m streamer.data.build``.

What the events tell of an item, as last seen: category, brand, price. The log has no titles and no stock. A title is
made of brand and category; the stock is made up from the item's id, so that the same comes out each time, and one item
in fifty, of those that nobody carted or bought, is sold out.
"""

from __future__ import annotations

import gzip
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import orjson

from streamer.core.events import key64
from streamer.readers.bundled import BUNDLED, bundled
from streamer.readers.registry import open_events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.events import Event, Line

SOLD_OUT_ONE_IN: Final = 50
MOST_IN_STOCK: Final = 200


def catalog(events: Iterable[Event]) -> bytes:
    """JSON lines, an item each: id, title, category, brand, price, stock; in order of item id."""
    newest: dict[str, Line] = {}
    wanted: set[str] = set()
    for event in events:
        for line in event.lines:
            newest[line.item] = line
            if event.type in {"cart", "purchase"}:
                wanted.add(line.item)
    return b"".join(
        orjson.dumps(_entry(newest[item], wanted=item in wanted), option=orjson.OPT_APPEND_NEWLINE)
        for item in sorted(newest)
    )


def _entry(line: Line, *, wanted: bool) -> dict[str, Any]:
    draw = key64(f"stock:{line.item}")
    entry: dict[str, Any] = {
        "id": line.item,
        "title": title(line),
        "category": line.category,
        "brand": line.brand,
        "price": None if isnan(line.price) else line.price,
        "stock": 1 + (draw >> 32) % MOST_IN_STOCK if wanted or draw % SOLD_OUT_ONE_IN else 0,
    }
    return {name: value for name, value in entry.items() if value not in {None, ""}}


def title(line: Line) -> str:
    """Brand and kind of thing, ``Aqua water heater``; the item's id stands for what is unknown."""
    leaf = "" if line.category.isdigit() else line.category.rpartition(".")[2].replace("_", " ")
    brand = " ".join(word.capitalize() for word in line.brand.replace("-", " ").split())
    if brand:
        return f"{brand} {leaf or line.item}"
    return f"{leaf.capitalize() or 'Item'} {line.item}"


def main() -> None:
    """Write the catalog of each bundled log beside it."""
    for name in BUNDLED:
        log = bundled(name)
        made = catalog(open_events(log.events))
        # No name and no time in the header, so that the same catalog is the same file.
        log.catalog.write_bytes(gzip.compress(made, mtime=0))


if __name__ == "__main__":
    main()
