"""The settings that stored rows are counted in: under another value, what is there means something else.

A sum that fades is an integer of an era of so many half-lives (``decay``), and a search's node is numbered among so
many buckets: neither can be read without the setting it was written with. So a task keeps these with its rows, and
refuses to go on with others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.core.settings import CoreSettings


def of_items(settings: CoreSettings) -> dict[str, int]:
    """By the setting's name, of what is known of items: table ``items``, topics ``item-updates`` and ``item-index``."""
    items, at = settings.items, "core.retrieval.items."
    return {
        f"{at}trend_half_life_ms": items.trend_half_life_ms,
        f"{at}interest_half_life_ms": items.interest_half_life_ms,
        f"{at}query_buckets": items.query_buckets,
    }


def of_shoppers(settings: CoreSettings) -> dict[str, int]:
    """Of profiles, and of what user tasks tell of items."""
    half_life_ms = settings.profile.affinity_half_life_ms
    return of_items(settings) | {"core.profile.affinity_half_life_ms": half_life_ms}


def changed(kept: Mapping[str, int], given: Mapping[str, int]) -> str:
    """What of ``given`` is not as rows were written with, in words; empty if all is.

    What was not kept, as by a release that did not know of it, is taken to be as given.
    """
    told = (
        f"{name} = {given[name]}, and what is stored was written with {value}"
        for name, value in sorted(kept.items())
        if given.get(name, value) != value
    )
    return "; ".join(told)
