"""What the shopper bought before: it is often bought again, in the rhythm of the shopper's own visits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.candidates.proposals import Proposals

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:  # noqa: ARG001
    """All purchases that are remembered and known, newest first.

    Score: 1 over one more than the visits' mean gaps that passed since. Time is told in the shopper's own gaps between
    visits, so that the daily and the yearly buyer are alike.
    """
    bought = asked.bought
    gaps = bought.age_ms / asked.mean_gap_ms.take(bought.query)
    return Proposals(bought.query, bought.item, (1.0 / (1.0 + gaps),))
