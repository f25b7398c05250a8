"""How much better a policy's pushes could be, if it knew what can be known of a shopper before a push.

A simulated shop is pushed to by a low score for three weeks, in this process. Of each push the shop's truth tells the
chance that it is answered by an opt-out, and that it sells what would not have been bought; and the engine's row of
table ``slates`` what it knew and expected. Pushes are then put in order of either chance, by what somebody might know:
how many opt-outs fewer has the better half, and which share of the sales, at the same volume? And how many opt-outs
fewer than the same share of the pushes that the score is best of (``over_score``)?

- ``foretold``: by the model that served.
- ``fitted``: by a logistic model fitted to the very chances of these pushes. It has seen what it is judged by, so it
  tells what its features carry at most, put together so.
- ``relevance``: the same, with how relevant the item is to the shopper as one more feature. ``relevance_explained`` is
  the share of its variance that a linear model of the other features, fitted likewise, explains.
- ``views``: by the rule of Bayes, of whoever knows the simulator and all of it but what kind each shopper is and what
  each likes: every kind's chances, every item's hidden vector, how tired the shopper is. What they like shows in what
  they looked at and put in the cart so far (``tastes.py``), the kind in how earlier pushes were taken (more
  clearly than it could, as how relevant those were is known). It leaves out what visits and orders tell of the kind,
  and who is about to buy the very item.
- ``answers``: the same, and how relevant the item is.
- ``life``: the same, and from how shoppers live without pushes, three weeks to come included: how often they visit, and
  how often they pay for what is in the cart. Nobody can know as much before a push, and no model can do better.
- ``known``: by the chance itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from load_tests.harness import arguments, machine, write
from load_tests.shop import file
from load_tests.shop.direct import Direct
from load_tests.shop.minds import IRRELEVANT, SHOWN
from load_tests.shop.organic import organic
from load_tests.shop.people import user_id
from load_tests.shop.runs import ONE_TASK
from load_tests.shop.world import World
from load_tests.tastes import VISIT_MS, Watched, relevances
from streamer.core.uplift.features import FEATURES, NAMES
from streamer.core.uplift.forward import sold_besides
from streamer.core.uplift.model import unpacked
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from load_tests.shop.minds import Chances
    from load_tests.shop.world import Push

    Floats = NDArray[np.float64]

PUSHED: Final = (
    "core.learning.learn_rate=0.5",
    "core.policy.worth_by=score",
    "core.policy.fatigue_bits=0",
    "core.policy.score_threshold=0.2",
)
SHARE: Final = 0.5
SHARES: Final = (1 / 2, 1 / 3, 1 / 4)
STEPS: Final = 25
GROUPS: Final = ("hour_", "channel_", "campaign_")
"""Features of these are left out of the fit: what a few dozen opt-outs say of them is chance."""
MOST: Final = 0.95
LEAST: Final = 1e-12


class Chosen(NamedTuple):
    """What there is to know of a push before it, but the tastes.

    ``items`` are those shown; ``fresh`` [k] is how strong each is by its place and by what the shopper just looked at.
    ``leave`` and ``sale`` are the chances of an opt-out and of a sale, but for how relevant the item is.
    """

    items: tuple[int, ...]
    fresh: Floats
    leave: float
    sale: float


class Seen(NamedTuple):
    """Of pushes [n]: ``chances`` [n, 2] of an opt-out and of a sale, by who says so; relevance [n], features [n, F]."""

    chances: dict[str, Floats]
    relevance: Floats
    rows: Floats


class Kinds:
    """What kind each shopper is likely to be, to somebody who knows the simulator: logarithms [shoppers, kinds]."""

    def __init__(self, world: World) -> None:
        self._world, self._types = world, list(world.shop.types.values())
        share = np.log([kind.share for kind in self._types])
        self.answers = np.tile(share, (len(world.people), 1))
        self.life = self.answers + self._of_visits() + self._of_orders()

    def react(self, push: Push) -> dict[str, tuple[float, float]]:
        """Have the shopper answer a push; its chances as they were, and as they were to be expected before it."""
        shopper = push.shopper
        each = [self._world.minds.chances(shopper, push.decided_ms, kind=kind) for kind in self._types]
        self._world.react(push)
        told = self._world.truth.pushes[-1]
        leaves = [float(chances.leave[told["item"]]) for chances in each]
        sells = [float(chances.click[told["item"]]) * chances.buy for chances in each]
        found = {"known": (told["leave"], told["sells"])}
        taken = np.log([_taken(chances, told) for chances in each])
        for name, known in (("answers", self.answers), ("life", self.life)):
            share = _share(known[shopper])
            found[name] = float(share @ leaves), float(share @ sells)
            known[shopper] += taken
        return found

    def chosen(self, push: Push) -> Chosen:
        """What there is to know of a push but the tastes, before it; of a shopper of the likely kinds."""
        world, shopper = self._world, push.shopper
        shown = push.items[: len(SHOWN)]
        items = (*shown, *[shown[-1]] * (len(SHOWN) - len(shown)))
        fresh = world.minds.warm(shopper, push.decided_ms)[list(items)] * SHOWN
        fresh[len(shown) :] = 0.0
        share, said = _share(self.answers[shopper]), world.shop.push
        tired = world.minds.fatigue(shopper, push.decided_ms)
        leave = share @ [kind.leave for kind in self._types] * np.exp(said.fatigue_annoyance * tired)
        sale = share @ [kind.click * kind.buy for kind in self._types] * np.exp(-said.fatigue_attention * tired)
        return Chosen(items, fresh, float(leave), float(sale))

    def _of_visits(self) -> Floats:
        """Of a rate of visits: it is drawn from a lognormal distribution around the kind's."""
        rhythm, rates = self._world.shop.rhythm, np.array([kind.visits for kind in self._types])
        spread = rhythm.visits_spread
        off = np.log(self._world.people.visits[:, None] / (rhythm.visits_per_week * rates)) + spread * spread / 2
        found: Floats = -0.5 * (off / spread) ** 2
        return found

    def _of_orders(self) -> Floats:
        """Of the visits with something in the cart: so many end with an order."""
        world = self._world
        chance = np.minimum(MOST, world.shop.rhythm.buy * np.array([kind.buys for kind in self._types]))
        carted, paid = np.zeros(len(world.people)), np.zeros(len(world.people))
        newest: dict[int, int] = defaultdict(lambda: -VISIT_MS)
        for action in organic(world.shop, world.goods, world.people, world.seed):
            if action.type == "purchase":
                paid[action.shopper] += 1
            elif action.type == "cart":
                carted[action.shopper] += action.time_ms - newest[action.shopper] >= VISIT_MS
                newest[action.shopper] = action.time_ms
        paid = np.minimum(paid, carted)
        found: Floats = paid[:, None] * np.log(chance) + (carted - paid)[:, None] * np.log(1.0 - chance)
        return found


def _share(known: Floats) -> Floats:
    likely = np.exp(known - known.max())
    found: Floats = likely / likely.sum()
    return found


def _taken(chances: Chances, told: dict[str, Any]) -> float:
    """How probable it was that a push is taken as it was; an opt-out is not asked about, as hardly anything follows."""
    click, dismiss = float(chances.click[told["item"]]), float(chances.dismiss[told["item"]])
    by_outcome = {"clicked": click, "dismissed": dismiss}
    return max(by_outcome.get(told["outcome"], 1.0 - click - dismiss), LEAST)


def run(shop: str, seed: int, settings: Sequence[str], *, by_views: bool = True) -> Seen:
    """Run the shop, and look up each push among those that wait as soon as it is sent. ``by_views``: and infer tastes,
    which takes as long.
    """
    world = World(file.read(shop), seed)
    made = load(None, {}, ONE_TASK | flags(settings))
    engine, kinds, forward_ms = Direct(made), Kinds(world), made.core.uplift.forward_ms
    told: dict[str, list[tuple[float, float]]] = defaultdict(list)
    relevance, rows, chosen, seen = [], [], [], []
    watched = Watched(world)
    while not world.over:
        pushes, actions = engine.exchange(world.step()), deque(world.latest)
        for push in pushes:
            while actions and actions[0].time_ms <= push.decided_ms:
                watched.took(actions.popleft())
            wanted = world.minds.wanted(push.shopper, push.decided_ms)
            choice = kinds.chosen(push)
            chances = kinds.react(push)
            impression = engine.impression(user_id(push.shopper), push.id)
            if impression is not None:
                pushed, anyway, _, opt_out = impression.expected
                besides = sold_besides(*engine.shopper(user_id(push.shopper)), push.decided_ms, forward_ms)
                for name, pair in (("foretold", (opt_out, (pushed - anyway) * besides)), *chances.items()):
                    told[name].append(pair)
                relevance.append(wanted[world.truth.pushes[-1]["item"]])
                rows.append(unpacked(impression.x))
                chosen.append(choice)
                seen.append(watched.of(push.shopper))
        for action in actions:
            watched.took(action)
    if by_views:
        told["views"] = _by_views(relevances(world, seen, np.array([one.items for one in chosen]), seed), chosen)
    return Seen({name: np.array(pairs) for name, pairs in told.items()}, np.array(relevance), np.array(rows))


def _by_views(drawn: Floats, chosen: Sequence[Chosen]) -> list[tuple[float, float]]:
    """The chances of an opt-out and of a sale, in the mean over relevances [draws, n, k] of the items shown: who
    answers does so for the one that is likeliest to be clicked.
    """
    strong = drawn * np.array([one.fresh for one in chosen])
    answered = strong.argmax(axis=2)[..., None]
    bored = (IRRELEVANT - np.take_along_axis(drawn, answered, axis=2)[..., 0]).mean(axis=0)
    clicked = np.take_along_axis(strong, answered, axis=2)[..., 0].mean(axis=0)
    return [(one.leave * b, one.sale * c) for one, b, c in zip(chosen, bored.tolist(), clicked.tolist(), strict=True)]


def fitted(x: Floats, p: Floats, prior: Floats) -> Floats:
    """What a logistic model says of rows ``x`` [n, F] that was fitted to the chances ``p`` [n] of the same rows."""
    return np.asarray(1.0 / (1.0 + np.exp(-x @ fitted_weights(x, p, prior))))


def fitted_weights(x: Floats, p: Floats, prior: Floats) -> Floats:
    """Of a logistic model, [F]: by Newton's steps to the most probable weights for chances ``p`` [n] of rows ``x``
    [n, F], with a variance of 1 around ``prior`` [F].
    """
    weights = prior.copy()
    for _ in range(STEPS):
        said = 1.0 / (1.0 + np.exp(-x @ weights))
        slope = x.T @ (p - said) - (weights - prior)
        weights += np.linalg.solve((x * (said * (1.0 - said))[:, None]).T @ x + np.eye(len(weights)), slope)
    return weights


def best(chances: Floats, order: Floats, share: float) -> float:
    """The mean chance in the ``share`` of the least ``order``."""
    return float(chances[np.argsort(order, kind="stable")[: int(share * len(order))]].mean())


def half(chances: Floats, order: Floats) -> float:
    """The mean chance in the half of the least ``order``, of that in all."""
    return best(chances, order, SHARE) / float(chances.mean())


def over_score(found: Seen, order: Floats) -> list[float]:
    """How many opt-outs fewer there are in the pushes of the least ``order`` [n] than in as many of the best score, in
    each of ``SHARES`` of them.
    """
    leaves, score = found.chances["known"][:, 0], found.rows[:, NAMES.index("score")]
    return [round(1.0 - best(leaves, order, share) / best(leaves, -score, share), 3) for share in SHARES]


def explained(x: Floats, y: Floats) -> float:
    """The share of the variance of ``y`` [n] that a linear model of rows ``x`` [n, F] explains, 1 among them."""
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return float(1.0 - left.var() / y.var())


def fit(found: Seen) -> Floats:
    """Add what models that are fitted to these very pushes say; give the features that they looked at [n, F]."""
    use = [place for place, name in enumerate(NAMES) if not name.startswith(GROUPS)]
    x = found.rows[:, use]
    priors = [np.array([getattr(FEATURES[place], what) for place in use]) for what in ("leave", "main")]
    known = found.chances["known"]
    for name, more in (("fitted", x[:, :0]), ("relevance", found.relevance[:, None])):
        rows = np.hstack((x, more))
        columns = [
            fitted(rows, p, np.concatenate((prior, np.zeros(more.shape[1]))))
            for p, prior in zip(known.T, priors, strict=True)
        ]
        found.chances[name] = np.stack(columns, axis=1)
    return x


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("shop", help="a name or a TOML file")
    given = parser.parse_args()
    found = run(given.shop, given.seed, (*PUSHED, *given.set))
    leaves, sells = found.chances["known"].T
    x = fit(found)
    figures: dict[str, Any] = {
        "pushes": len(leaves),
        "a_thousand": {"opt_outs": round(1000 * leaves.mean(), 2), "sales": round(1000 * sells.mean(), 2)},
        "opt_outs_fewer": {name: round(1.0 - half(leaves, told[:, 0]), 3) for name, told in found.chances.items()},
        "over_score": {name: over_score(found, told[:, 0]) for name, told in found.chances.items()},
        "share_of_sales": {name: round(SHARE * half(sells, -told[:, 1]), 3) for name, told in found.chances.items()},
        "relevance_explained": round(explained(x, found.relevance), 3),
        "settings": {"shop": given.shop, "seed": given.seed, "overrides": [*PUSHED, *given.set], **machine()},
    }
    write(figures, given.json)


if __name__ == "__main__":
    main()
