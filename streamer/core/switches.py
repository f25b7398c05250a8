"""What can be switched off by name: generators of candidates, and features or groups of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.candidates.registry import GENERATORS
from streamer.core.features import FEATURES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.retrieval_settings import RetrievalSettings


def unknown(retrieval: RetrievalSettings) -> list[str]:
    """A line for each name to be left out that nothing has, with the names there are; none if all is well.

    Not a check of the settings' own: they know of no registry, which all that is registered imports them from.
    """
    groups = {name for feature in FEATURES for name in (feature.name, feature.group)}
    return [
        *_unknown("without", retrieval.without, {generator.name for generator in GENERATORS}),
        *_unknown("without_features", retrieval.without_features, groups),
    ]


def _unknown(setting: str, given: Iterable[str], names: Iterable[str]) -> Iterable[str]:
    known = sorted(names)
    for name in given:
        if name not in known:
            yield f"core.retrieval.{setting}: {name!r} is none of {', '.join(known)}"
