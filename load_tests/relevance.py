"""What if another item of the list were pushed, the one likeliest to be relevant?

The ranking puts in front what is taken up next, which is also what is popular and what was just looked at; an opt-out
hangs on how relevant the item is to the shopper. So of each push of the whole policy, in this process, the list is kept
that it was chosen from: the best that no rule refused, with the ranking's features. Then others are chosen in its
place, from the first few of the list, and the shop's truth tells how relevant they are, and the chances of a click and
of an opt-out:

- ``ranked``: the first, as it is.
- ``fitted``: by a logistic model of relevance over some features, fitted to the truth of the lists of the *other* shops
  given: what is known of pushes in general, better than anybody could know it.
- ``known``: by relevance itself, which nobody knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest.mock import patch

import numpy as np

from load_tests.harness import arguments, machine, write
from load_tests.knowable import fitted_weights
from load_tests.shop import arms, file
from load_tests.shop.direct import Direct
from load_tests.shop.runs import ONE_TASK
from load_tests.shop.world import World
from streamer.core.decide import Deciding
from streamer.core.exactmath import sigmoid
from streamer.core.features import ROW
from streamer.core.policy.registry import SENT
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from streamer.core.ask import Ask
    from streamer.core.policy.proposal import Proposal

    Floats = NDArray[np.float64]

LIST: Final = 20
AMONG: Final = (3, 5, 10, 20)
USED: Final = (
    "own_views", "own_carts", "own_days", "in_cart", "category_share", "same_category", "content", "vectors_cosine",
    "popularity", "few_views",
)  # fmt: skip
LEAST: Final = 1e-6
LISTED: Final = (
    "core.policy.log_alternatives=1",
    f"core.policy.explore_items={LIST}",
    "core.policy.explore_share=1e-15",
)
"""So decisions tell what could have been drawn instead, and nothing is drawn in the lifetime of a shop."""


class Kept(NamedTuple):
    """The list of a push, best first: features [n, F], and by the truth relevance, click, and opt-out [n]."""

    x: Floats
    relevance: Floats
    click: Floats
    leave: Floats


class Keeping(Deciding):
    """Keeps the list of each push that may be sent: items by number, and the features of each [n, F]."""

    lists: Final[dict[str, tuple[list[int], Floats]]] = {}

    def _propose(self, ask: Ask) -> Proposal:
        proposal = super()._propose(ask)
        if proposal.decision.reason == SENT:
            ranked, index = self.ranked, self.views.items
            every = ranked.rows(ask.query)
            row_of = {index.id_of(int(ranked.items[row])): row for row in range(every.start, every.stop)}
            rows = [row_of[each.id] for each in proposal.decision.alternatives]
            items = [int(each.id.rpartition("-")[2]) for each in proposal.decision.alternatives]
            self.lists[proposal.decision.candidate_id] = items, _features(ranked.x[:, rows], ranked.p[rows])
        return proposal


def _features(x: Floats, p: Floats) -> Floats:
    held = np.clip(p, LEAST, 1.0 - LEAST)
    used = [x[ROW[name]] for name in USED]
    return np.stack([*used, np.log(held / (1.0 - held)), np.ones(len(p))], axis=1)


def run(shop: str, seed: int, settings: Sequence[str]) -> list[Kept]:
    """A run of the shop; the list of each push."""
    world, found = World(file.read(shop), seed), []
    with patch("streamer.core.engine.Deciding", Keeping):
        engine = Direct(load(None, {}, ONE_TASK | flags([*settings, *LISTED])))
        while not world.over:
            for push in engine.exchange(world.step()):
                items, x = Keeping.lists[push.id]
                chances = world.minds.chances(push.shopper, push.decided_ms)
                wanted = world.minds.wanted(push.shopper, push.decided_ms)
                found.append(Kept(x, wanted[items], chances.click[items], chances.leave[items]))
                world.react(push)
            Keeping.lists.clear()
    return found


def chosen(lists: Sequence[Kept], by: Sequence[Floats], among: int) -> dict[str, float]:
    """In the mean, of the item of the greatest ``by`` [n] among the first so many of each list."""
    places = [int(np.argmax(values[:among])) for values in by]
    names = ("relevance", "click", "leave")
    return {
        name: round(float(np.mean([getattr(one, name)[at] for one, at in zip(lists, places, strict=True)])), 4)
        for name in names
    }


def told(shop: str, lists: Mapping[str, Sequence[Kept]]) -> dict[str, Any]:
    """What would have come of each choice in one of the shops."""
    others = [one for name, kept in lists.items() if name != shop for one in kept]
    own = lists[shop]
    found: dict[str, Any] = {"pushes": len(own), "ranked": chosen(own, [one.relevance for one in own], 1)}
    choices = {"known": [one.relevance for one in own]}
    if others:
        x = np.concatenate([one.x for one in others])
        weights = fitted_weights(x, np.concatenate([one.relevance for one in others]), np.zeros(x.shape[1]))
        choices["fitted"] = [sigmoid(one.x @ weights) for one in own]
    for name, by in choices.items():
        found[name] = {f"of {among}": chosen(own, by, among) for among in AMONG}
    return found


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("shops", nargs="+", help="names or TOML files, two at least to tell what is known in general")
    given = parser.parse_args()
    shipped = arms.read()
    settings = (*shipped.common.set, *shipped.arms[shipped.first].set, *given.set)
    lists = {shop: run(shop, given.seed, settings) for shop in given.shops}
    figures: dict[str, Any] = {shop: told(shop, lists) for shop in lists}
    figures["settings"] = {"seed": given.seed, "overrides": list(settings), **machine()}
    write(figures, given.json)


if __name__ == "__main__":
    main()
