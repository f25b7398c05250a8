"""Why an item was ranked high: what adds up to its score, in words for the shopper.

A model says what each feature adds to a row's log-odds. Features that say the same to a shopper are one reason, and
what they add is added up; what no reason that is told accounts for is the rest. So reasons and rest sum to the log-odds
of the score, for every kind of model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.exactmath import log2
from streamer.core.features import FEATURES, ROW
from streamer.core.names import NONE
from streamer.core.rank import contributions

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.index import ItemIndex
    from streamer.core.models.model import Model
    from streamer.core.rank import Ranked

FALLBACK: Final = "chosen for you"
_LN2: Final = 0.6931471805599453
_LEAST: Final = 2.0**-21
"""Half of the grid of probabilities: the log-odds of a score of 0 are those of this."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """``reasons``: phrases, distinct, each with what it adds to the log-odds, the greatest first, all above 0.

    ``rest``: what all else adds, the model's intercept included; ``log_odds``: of the score, what they sum to.
    """

    reasons: tuple[tuple[str, float], ...]
    rest: float
    log_odds: float

    def words(self) -> list[str]:
        """The phrases; one at least."""
        return [phrase for phrase, _ in self.reasons] or [FALLBACK]

    def parts(self) -> list[float]:
        """What each of ``words`` adds, to six decimals, and then the rest, so that they sum to the log-odds."""
        told = [round(part, 6) for _, part in self.reasons] or [0.0]
        return [*told, round(self.log_odds - sum(told), 6)]


def log_odds(p: float) -> float:
    """Natural, of a probability on the grid."""
    held = min(max(p, _LEAST), 1.0 - _LEAST)
    return (log2(held) - log2(1.0 - held)) * _LN2


def explain(ranked: Ranked, row: int, query: int, index: ItemIndex, model: Model, *, count: int = 3) -> Explanation:
    """At most ``count`` reasons for a row of a query, and the rest."""
    added: dict[str, float] = {}
    filled = _Words(ranked, row, query, index)
    for name, part in contributions(ranked, row, model):
        if part and (phrase := filled(FEATURES[ROW[name]].says)):
            added[phrase] = added.get(phrase, 0.0) + part
    # Sorting is stable, and phrases come in the order of their greatest part.
    told = sorted(((phrase, part) for phrase, part in added.items() if part > 0.0), key=lambda entry: -entry[1])[:count]
    whole = log_odds(float(ranked.p[row]))
    return Explanation(tuple(told), whole - sum(part for _, part in told), whole)


def reasons(ranked: Ranked, row: int, query: int, index: ItemIndex, model: Model, *, count: int = 3) -> list[str]:
    """The words of ``explain``."""
    return explain(ranked, row, query, index, model, count=count).words()


class _Words:
    """Fills the templates of one row; what they name is looked up once, and only if one names it."""

    def __init__(self, ranked: Ranked, row: int, query: int, index: ItemIndex) -> None:
        self._ranked, self._index = ranked, index
        self._item, self._own = int(ranked.items[row]), int(ranked.pool.own[row])
        recents = ranked.asked.recents
        self._mine = np.flatnonzero(recents.query == query)
        self._known: dict[str, str] = {}

    def __call__(self, template: str) -> str:
        """The template with its fields filled, empty if one of them is not known."""
        fields = {}
        for field, find in _FIELDS.items():
            if "{" + field + "}" in template:
                if field not in self._known:
                    self._known[field] = find(self)
                if not self._known[field]:
                    return ""
                fields[field] = self._known[field]
        return template.format(**fields)

    def times(self) -> str:
        return "" if self._own < 0 else _often(int(self._ranked.asked.recents.views[self._own]))

    def category(self) -> str:
        return _name(self._index.categories.names, int(self._index.category[self._item]))

    def brand(self) -> str:
        return _name(self._index.brands.names, int(self._index.brand[self._item]))

    def beside(self) -> str:
        """Of the newest recent that has the item for a neighbour, other than the item."""
        mine = self._ranked.asked.recents.item.take(self._mine)
        ids, _ = self._index.neighbours(mine)
        shown = np.flatnonzero((ids == self._item).any(axis=1) & (mine != self._item))
        return self._called(int(mine[shown[0]])) if len(shown) else ""

    def newest(self) -> str:
        """Of the newest recent, if the item is another one."""
        if not len(self._mine):
            return ""
        newest = int(self._ranked.asked.recents.item[self._mine[0]])
        return "" if newest == self._item else self._called(newest)

    def newest_times(self) -> str:
        return _often(int(self._ranked.asked.recents.views[self._mine[0]])) if len(self._mine) else ""

    def _called(self, item: int) -> str:
        return self._index.title(item) or self._index.id_of(item)


def _often(views: int) -> str:
    return "" if views < 1 else "once" if views == 1 else "twice" if views == 2 else f"{views} times"


# Not bound to an object: one that held its own methods would be kept, with all of the batch's arrays, until the next
# collection of cycles.
_FIELDS: Final[dict[str, Callable[[_Words], str]]] = {
    "times": _Words.times,
    "category": _Words.category,
    "brand": _Words.brand,
    "with": _Words.beside,
    "newest": _Words.newest,
    "newest_times": _Words.newest_times,
}


def _name(names: list[str], group: int) -> str:
    return "" if group == NONE else names[group]
