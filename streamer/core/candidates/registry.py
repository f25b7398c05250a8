"""The generators there are. A new one is a file in this folder and a line here; contract tests run over the list."""

from __future__ import annotations

from typing import Final

from streamer.core.candidates import (
    category_affinity,
    complements,
    content,
    covisitation,
    embedding,
    following,
    fresh,
    newcomers,
    recent,
    replenishment,
    rising,
    search,
    segment,
    sessions,
    text,
    trending,
    vectors,
)
from streamer.core.candidates.proposals import Generator

GENERATORS: Final = (
    # Recent must be the first: the features of a shopper's own items are found by its rows (pool.py).
    Generator(("recent",), recent.propose),
    Generator(("replenishment",), replenishment.propose),
    Generator(("covisitation", "covisitation_last"), covisitation.propose),
    Generator(("sessions", "sessions_votes"), sessions.propose),
    Generator(("following", "preceding"), following.propose),
    Generator(("complements", "complements_share"), complements.propose),
    Generator(("search", "search_words"), search.propose),
    Generator(("category_affinity",), category_affinity.propose),
    Generator(("content",), content.propose),
    Generator(("trending",), trending.propose),
    Generator(("rising",), rising.propose),
    Generator(("newcomers",), newcomers.propose),
    Generator(("fresh",), fresh.propose),
    Generator(("embedding",), embedding.propose),
    Generator(("text",), text.propose),
    Generator(("segment",), segment.propose),
    Generator(("vectors",), vectors.propose),
)
