"""What a baseline is: a recommender that fits in the head, learned online from the same events at the same moments.

Items and shoppers are small whole numbers, given at first sight; so a smaller item is one seen earlier, and ties go to
it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Scores = tuple[Ints, Floats]

History = dict[int, int]
"""A user's items: how often each was seen, the one seen last at the end."""


@dataclass(slots=True)
class Shopper:
    """Whom to rank for: their number, and what they did before."""

    number: int
    history: History = field(default_factory=dict)


class Baseline(Protocol):
    """Ranks items for a shopper, learning from every event."""

    name: str

    def rank(self, shopper: Shopper, count: int) -> list[int]:
        """At most ``count`` distinct items, best first, from what was seen before; fewer if there is no more to say."""
        ...

    def see(self, shopper: Shopper, items: Sequence[int]) -> None:
        """Learn one event: the shopper before it, and the event's distinct items in order."""
        ...


class Scoring(Protocol):
    """A baseline that can say how much better one item is than another."""

    def scores(self, shopper: Shopper) -> Scores:
        """Distinct items [n] and their scores [n], above 0, in any order."""
        ...


def best(scores: Scores, count: int) -> list[int]:
    """The items of the ``count`` highest scores, highest first, ties to the one seen first."""
    items, values = scores
    if len(items) > 4 * count:
        # Nothing below the count-th highest score can be named; the rest is sorted in full.
        least = np.partition(values, len(values) - count)[len(values) - count]
        kept = np.flatnonzero(values >= least)
        items, values = items[kept], values[kept]
    named: list[int] = items[np.lexsort((items, -values))[:count]].tolist()
    return named


def summed(items: Ints, amounts: Floats) -> Scores:
    """Distinct items and the sum of the amounts of each; what is not above 0 is left out."""
    if not len(items):
        return items, amounts
    sums: Floats = np.bincount(items, weights=amounts).astype(np.float64, copy=False)
    found: Ints = np.flatnonzero(sums > 0.0)
    return found, sums[found]


def newest(history: History, count: int) -> list[int]:
    """The newest items, newest first."""
    return [item for item, _ in zip(reversed(history), range(count), strict=False)]


def remember(history: History, items: Iterable[int]) -> None:
    """Put an event's distinct items into its user's history."""
    for item in items:
        history[item] = history.pop(item, 0) + 1
