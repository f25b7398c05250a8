"""The baselines there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.evaluation.baselines import als
from streamer.evaluation.baselines.blend import Blend
from streamer.evaluation.baselines.pairs import CoVisitation, ItemCosine
from streamer.evaluation.baselines.popular import Popularity, Trending
from streamer.evaluation.baselines.repeat import Repeat
from streamer.evaluation.baselines.vsknn import VSknn

if TYPE_CHECKING:
    from streamer.evaluation.baselines.base import Baseline

NAMES: Final = ("popularity", "trending", "repeat", "co-visitation", "item-cosine", "v-sknn", "als", "blend")
_CHOICES: Final = {"none": (), "cheap": NAMES[:3], "all": NAMES}


def chosen(which: str) -> tuple[str, ...]:
    """The names of a choice: ``none``, ``cheap``, ``all``, or names with commas between them, in our order.

    Raises ValueError if one is unknown.
    """
    if which in _CHOICES:
        return _CHOICES[which]
    asked = [name.strip() for name in which.split(",")]
    for name in asked:
        if name not in NAMES:
            raise ValueError(f"baselines must be none, cheap, all or some of {', '.join(NAMES)}, not {name!r}")
    return tuple(name for name in NAMES if name in asked)


class Baselines:
    """The chosen baselines, and the parts of them that learn. ``missing``: what cannot be had here, and why."""

    def __init__(self, which: str) -> None:
        names = chosen(which)
        self.popularity = Popularity()
        covisitation, sessions, repeat = CoVisitation(), VSknn(), Repeat()
        made: dict[str, Baseline] = {
            "popularity": self.popularity,
            "trending": Trending(),
            "repeat": repeat,
            "co-visitation": covisitation,
            "item-cosine": ItemCosine(),
            "v-sknn": sessions,
            "blend": Blend(((1.0, covisitation), (1.0, sessions), (0.5, repeat))),
        }
        self.missing: dict[str, str] = {}
        if als.available():
            made["als"] = als.Als()
        elif "als" in names:
            self.missing["als"] = "needs the package implicit: pip install streamer[als]"
        self.chosen = [made[name] for name in names if name in made]
        wanted = [name for name in names if name in made]
        if "blend" in names:
            wanted += [name for name in ("co-visitation", "v-sknn") if name not in names]
        # Popularity fills up short lists, so it learns even if it is not asked for.
        self.learning = [made[name] for name in wanted] + (
            [self.popularity] if names and "popularity" not in names else []
        )
