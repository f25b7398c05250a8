"""Where others were seen with what the shoppers touched last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.queries import Recents
    from streamer.core.sessions.index import SessionIndex

    Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sightings:
    """Sessions of others: the item of ``Recents``' ``row`` is in that of ``slot``; both [s], in order of the row."""

    row: Ints
    slot: Ints


def sightings(recents: Recents, owner: NDArray[np.uint64], sessions: SessionIndex, newest: int) -> Sightings:
    """Of each query's ``newest`` items; ``owner`` [queries] is whose sessions are not those of others."""
    rows = (recents.place < newest).nonzero()[0]
    place, slot = sessions.holding(recents.item.take(rows))
    row = rows.take(place)
    others = (sessions.owner.take(slot) != owner.take(recents.query.take(row))).nonzero()[0]
    return Sightings(row.take(others), slot.take(others))
