"""What comes next: the items that were touched right after the shopper's newest ones in sessions of others.

A transition model of the first order over the bounded replica of recent sessions, as "sequential rules" are
(Kamehkhosh, Jannach, Ludewig, "A comparison of frequent pattern techniques and a deep learning method for session-based
recommendation", RecTemp 2017): nothing is counted ahead, the sessions of an item are read when somebody asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.core.candidates.best import ONE, best, summed
from streamer.core.candidates.proposals import Proposals
from streamer.core.names import NONE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings

    Ints = NDArray[np.int64]

# What an item 1, 2, 3 … moments after another counts for it; of the same moment, or before, nothing.
_BY_GAP: Final = np.array([0, *(round(ONE / gap) for gap in range(1, 256))], np.int64)


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:
    """What followed the newest items, those of one moment together, the most usual first.

    Score: how often, each time divided by how many moments lay between, over the sessions looked at (and one more, so
    that a single sighting is no certainty). Second column: the same of what came before, as order may not matter.
    """
    recents, sessions = asked.recents, index.sessions
    rows = np.flatnonzero((recents.step == 0) & (recents.place < settings.session_recents))
    slots = sessions.holding(recents.item.take(rows))
    row, at = np.nonzero(slots != NONE)
    slot = slots[row, at].astype(np.int64)
    row = rows.take(row)
    others = np.flatnonzero(sessions.owner.take(slot) != asked.owner.take(recents.query.take(row)))
    row, slot = row.take(others), slot.take(others)
    query = recents.query.take(row)
    looked_at = np.bincount(query, minlength=asked.count)

    items, steps = sessions.items.take(slot, axis=0), sessions.steps.take(slot, axis=0).astype(np.int64)
    mine = (items == recents.item.take(row)[:, None]).argmax(axis=1)
    gaps = steps - steps[np.arange(len(slot)), mine][:, None]
    at_row, at = np.nonzero((items != NONE) & (gaps != 0))
    item, gap = items[at_row, at].astype(np.int64), gaps[at_row, at]
    kept = np.flatnonzero(index.known.take(item))
    query, item, gap = query.take(at_row.take(kept)), item.take(kept), gap.take(kept)
    after = np.where(gap > 0, _BY_GAP.take(np.maximum(gap, 0)), 0)
    before = np.where(gap < 0, _BY_GAP.take(np.maximum(-gap, 0)), 0)
    asked_of, thing, of_both = summed(query, item, after + before, len(index))
    of_after = np.bincount(np.searchsorted(_code(asked_of, thing), _code(query, item)), after, len(of_both))
    score = (2 * of_after).astype(np.int64) + of_both
    chosen = best(asked_of, score, index.keys.take(thing), settings.following_items)
    asked_of, thing = asked_of.take(chosen), thing.take(chosen)
    over = (looked_at.take(asked_of) + 1.0) * ONE
    after_share, both_share = of_after.take(chosen) / over, of_both.take(chosen) / over
    return Proposals(asked_of, thing, (after_share, both_share - after_share))


def _code(query: Ints, item: Ints) -> Ints:
    return (query << 32) | item
