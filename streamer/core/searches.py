"""What shoppers search for: of each query's shopper the newest search, as long as the session lasts it was made in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.profile import newest_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.core.profile import Profile

_SESSION_GAP_MS: Final = 30 * 60_000
_FALL_OFF: Final = 0.7
"""How much less a search counts with each item that was touched after it."""
_FURTHEST: Final = 8


@dataclass(frozen=True, slots=True)
class Searches:
    """One row a query whose shopper has searched, in query order: text; ``claim``: 1 if nothing was touched since."""

    query: NDArray[np.int64]
    texts: tuple[str, ...]
    claim: NDArray[np.float64]


def searches_of(profiles: Sequence[Profile | None], now_ms: Sequence[int]) -> Searches:
    """The searches of a batch of queries, each a profile as of a time."""
    query, texts, claim = list[int](), list[str](), list[float]()
    for n, profile in enumerate(profiles):
        if profile is None or not profile.searches:
            continue
        search = profile.searches[-1]
        if search.time_s * 1000 + 999 >= profile.session_start_ms and now_ms[n] - profile.last_ms <= _SESSION_GAP_MS:
            query.append(n)
            texts.append(search.text)
            claim.append(_FALL_OFF ** len(newest_items(profile, _FURTHEST, search.time_s)))
    return Searches(np.array(query, np.int64), tuple(texts), np.array(claim, np.float64))
