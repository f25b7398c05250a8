"""How many opt-outs a policy could leave out, if it knew what can be known of a shopper before a push.

A simulated shop is pushed to by a low score for three weeks, in this process. Of each push the shop's truth tells the
chance that it is answered by an opt-out, and the engine's row of table ``slates`` what it knew and expected. Pushes are
then put in order of that chance, as the served model foretold it, as a logistic model says that was fitted to the very
chances of these pushes, and as they really were: what share of all opt-outs is in the better half, at the same volume?

The fitted model has seen what it is judged by, so it tells what these features carry at most, put together so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from load_tests.harness import arguments, machine, write
from load_tests.shop import file
from load_tests.shop.direct import Direct
from load_tests.shop.people import user_id
from load_tests.shop.runs import ONE_TASK
from load_tests.shop.world import World
from streamer.core.uplift.features import FEATURES, NAMES
from streamer.core.uplift.model import unpacked
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PUSHED: Final = (
    "core.learning.learn_rate=0.5",
    "core.policy.worth_by=score",
    "core.policy.fatigue_bits=0",
    "core.policy.score_threshold=0.2",
)
SHARE: Final = 0.5
STEPS: Final = 25
GROUPS: Final = ("hour_", "channel_", "campaign_")
"""Features of these are left out of the fit: what a few dozen opt-outs say of them is chance."""


class Pushes(NamedTuple):
    """Of pushes [n]: the chance of an opt-out, as it was and as it was foretold, and features [n, F]."""

    leaves: Floats
    foretold: Floats
    rows: Floats


def pushed(shop: str, seed: int, settings: Sequence[str]) -> Pushes:
    """Run the shop, and look up each push among those that wait as soon as it is sent."""
    world = World(file.read(shop), seed)
    engine = Direct(load(None, {}, ONE_TASK | flags(settings)))
    leaves, foretold, rows = [], [], []
    while not world.over:
        for push in engine.exchange(world.step()):
            world.react(push)
            impression = engine.impression(user_id(push.shopper), push.id)
            if impression is not None:
                leaves.append(world.truth.pushes[-1]["leave"])
                foretold.append(impression.expected[3])
                rows.append(unpacked(impression.x))
    return Pushes(np.array(leaves), np.array(foretold), np.array(rows))


def fitted(x: Floats, p: Floats, prior: Floats) -> Floats:
    """What a logistic model says of rows ``x`` [n, F] that was fitted to the chances ``p`` [n] of the same rows.

    Newton's steps to the most probable weights, whose prior has a variance of 1 around ``prior`` [F].
    """
    weights = prior.copy()
    for _ in range(STEPS):
        said = 1.0 / (1.0 + np.exp(-x @ weights))
        slope = x.T @ (p - said) - (weights - prior)
        weights += np.linalg.solve((x * (said * (1.0 - said))[:, None]).T @ x + np.eye(len(weights)), slope)
    return np.asarray(1.0 / (1.0 + np.exp(-x @ weights)))


def left_out(leaves: Floats, order: Floats) -> float:
    """By what share the mean chance is lower in the half of the least ``order`` than in all."""
    best = np.argsort(order, kind="stable")[: int(SHARE * len(order))]
    return float(1.0 - leaves[best].mean() / leaves.mean())


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("shop", help="a name or a TOML file")
    given = parser.parse_args()
    found = pushed(given.shop, given.seed, (*PUSHED, *given.set))
    use = [place for place, name in enumerate(NAMES) if not name.startswith(GROUPS)]
    prior = np.array([FEATURES[place].leave for place in use])
    orders = {
        "foretold": found.foretold,
        "fitted": fitted(found.rows[:, use], found.leaves, prior),
        "known": found.leaves,
    }
    figures: dict[str, Any] = {
        "pushes": len(found.leaves),
        "opt_outs_a_thousand": round(1000 * float(found.leaves.mean()), 2),
        "features": len(use),
        "left_out": {name: round(left_out(found.leaves, order), 3) for name, order in orders.items()},
        "settings": {"shop": given.shop, "seed": given.seed, "overrides": [*PUSHED, *given.set], **machine()},
    }
    write(figures, given.json)


if __name__ == "__main__":
    main()
