"""Why an item was ranked high, in words for the shopper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.features import FEATURES, ROW
from streamer.core.names import NONE
from streamer.core.rank import contributions

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.models.model import Model
    from streamer.core.rank import Ranked

_FALLBACK: Final = "chosen for you"


def reasons(ranked: Ranked, row: int, query: int, index: ItemIndex, model: Model, *, count: int = 3) -> list[str]:
    """At most ``count`` distinct phrases, from what adds most to the row's score; always at least one."""
    said: list[str] = []
    for name, part in contributions(ranked, row, model):
        template = FEATURES[ROW[name]].says
        if part <= 0.0 or len(said) == count:
            break
        phrase = _fill(template, ranked, row, query, index) if template else ""
        if phrase and phrase not in said:
            said.append(phrase)
    return said or [_FALLBACK]


def _fill(template: str, ranked: Ranked, row: int, query: int, index: ItemIndex) -> str:
    """The template with its fields filled, empty if one of them is not known."""
    item = int(ranked.items[row])
    fields = {
        "times": _times(ranked, row),
        "category": _name(index.categories.names, int(index.category[item])),
        "brand": _name(index.brands.names, int(index.brand[item])),
    }
    if "{with}" in template:
        fields["with"] = _with(ranked, item, query, index)
    if any("{" + field + "}" in template and not value for field, value in fields.items()):
        return ""
    return template.format(**fields)


def _times(ranked: Ranked, row: int) -> str:
    own = int(ranked.pool.own[row])
    if own < 0:
        return ""
    views = int(ranked.asked.recents.views[own])
    return "" if views < 1 else "once" if views == 1 else f"{views} times"


def _name(names: list[str], group: int) -> str:
    return "" if group == NONE else names[group]


def _with(ranked: Ranked, item: int, query: int, index: ItemIndex) -> str:
    """Title or id of the newest recent that has the item for a neighbour."""
    recents = ranked.asked.recents
    mine = recents.item[recents.query == query]
    ids, _ = index.neighbours(mine)
    beside = np.flatnonzero((ids == item).any(axis=1))
    if not len(beside):
        return ""
    other = int(mine[beside[0]])
    return index.title(other) or index.id_of(other)
