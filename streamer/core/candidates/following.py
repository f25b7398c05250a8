"""What comes next: the items that were touched right after the shopper's newest ones in sessions of others.

A transition model of the first order over the bounded replica of recent sessions, as "sequential rules" are
(Kamehkhosh, Jannach, Ludewig, "A comparison of frequent pattern techniques and a deep learning method for session-based
recommendation", RecTemp 2017): nothing is counted ahead, the sessions of an item are read when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.best import ONE, best
from streamer.core.candidates.proposals import Proposals
from streamer.core.runs import begins

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Ints = NDArray[np.int64]

# What an item 1, 2, 3 … moments after another counts for it; of the same moment, or before, nothing.
_AFTER: Final = np.array([0] * 256 + [round(ONE / gap) for gap in range(1, 256)], np.int64)
_EITHER: Final = _AFTER + _AFTER[::-1]
_SAME: Final = 255
"""The place of gap 0 in both."""


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """What followed the newest items, those of one moment together, the most usual first.

    Score: how often, each time divided by how many moments lay between, over the sessions looked at (and one more, so
    that a single sighting is no certainty). Second column: the same of what came before, as order may not matter.
    """
    recents, sessions = asked.recents, index.sessions
    newest = (recents.step.take(asked.sightings.row) == 0).nonzero()[0]
    row, slot = asked.sightings.row.take(newest), asked.sightings.slot.take(newest)
    query = recents.query.take(row)
    looked_at = np.bincount(query, minlength=asked.count)

    pair, at = sessions.within(slot)
    item, step = sessions.items.ravel().take(at).astype(np.int64), sessions.steps.ravel().take(at).astype(np.int64)
    mine = (item == recents.item.take(row).take(pair)).nonzero()[0]
    # A session may name an item twice: the first place counts.
    mine = mine.take(begins(pair.take(mine)))
    gap = step - step.take(mine).take(pair)
    kept = ((gap != 0) & index.known.take(item)).nonzero()[0]
    query, item, gap = query.take(pair.take(kept)), item.take(kept), gap.take(kept) + _SAME
    query, item, after, either = _summed(query, item, _AFTER.take(gap), _EITHER.take(gap), len(index))
    chosen = best(query, 2 * after + either, index.keys.take(item), settings.following_items)
    query, item = query.take(chosen), item.take(chosen)
    over = (looked_at.take(query) + 1.0) * ONE
    after_share, either_share = after.take(chosen) / over, either.take(chosen) / over
    return Proposals(query, item, (after_share, either_share - after_share))


def _summed(query: Ints, item: Ints, after: Ints, either: Ints, items: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Both amounts, of which ``after`` is 0 or as ``either``, added up by query and item; as ``best.summed``."""
    bits = max(items, 1).bit_length()
    code: Ints = (((((query << bits) | item) << _AMOUNT_BITS) | either) << 1) | (after > 0)
    code.sort()
    both = code >> (_AMOUNT_BITS + 1)
    starts = begins(both)
    if not len(starts):
        return starts, starts, starts, starts
    either = (code >> 1) & _MOST
    both = both.take(starts)
    return (
        both >> bits,
        both & ((1 << bits) - 1),
        np.add.reduceat(either * (code & 1), starts),
        np.add.reduceat(either, starts),
    )


_AMOUNT_BITS: Final = ONE.bit_length()
_MOST: Final = (1 << _AMOUNT_BITS) - 1
