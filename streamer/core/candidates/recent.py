"""The shopper's own recent items: what was looked at is often looked at again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.candidates.proposals import Proposals
from streamer.core.exactmath import exp2

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.queries import Asked
    from streamer.core.retrieval_settings import RetrievalSettings


def propose(asked: Asked, index: ItemIndex, settings: RetrievalSettings) -> Proposals:  # noqa: ARG001
    """All recents that are known, newest first. Score: the interest in the item, in views, faded by its age."""
    recents = asked.recents
    faded = recents.weight * exp2(recents.age_ms / -settings.recent_half_life_ms)
    return Proposals(recents.query, recents.item, (faded,))
