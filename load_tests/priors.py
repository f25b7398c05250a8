"""What is known of opt-outs in general: priors fitted in some simulated shops, and how far they carry in another.

A push in a hundred is answered by an opt-out, so the model of opt-outs learns from a handful for weeks, and orders
pushes little better than its prior, or worse. Each of the shops given is pushed to by a low score for weeks, as in
``load_tests.knowable``, and its truth tells the chance of an opt-out of each push. A logistic model is fitted to the
chances of all shops, around 0: ``priors``, to be held against those of ``streamer/core/uplift/features.py``. And one is
fitted to each shop's *others*, to be held against what was foretold there: of the shares of the pushes that each finds
best (``load_tests.knowable.SHARES``), how many opt-outs fewer than of those that the score finds best?

- ``foretold``: by the model that served, which learned from that shop's responses.
- ``prior``: by the program's priors alone.
- ``others``: by priors fitted to the other shops alone.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from load_tests.harness import arguments, machine, write
from load_tests.knowable import PUSHED, Seen, fitted_weights, over_score, run
from streamer.core.uplift.features import FEATURES, NAMES

LEFT_OUT: Final = ("hour_", "channel_", "campaign_", "weekend", "consent", "price", "dearer")
"""What differs from shop to shop, or by chance: priors of these stay 0."""
ALWAYS: Final = -5.0
USED: Final = np.array([not name.startswith(LEFT_OUT) for name in NAMES])


def fit(shops: list[Seen]) -> dict[str, float]:
    """Weights by feature that are most probable for the chances of an opt-out in all of ``shops`` together."""
    x = np.concatenate([seen.rows[:, USED] for seen in shops])
    chances = np.concatenate([seen.chances["known"][:, 0] for seen in shops])
    around = np.where(np.array(NAMES)[USED] == "always", ALWAYS, 0.0)
    weights = fitted_weights(x, chances, around)
    return dict(zip(np.array(NAMES)[USED].tolist(), weights.tolist(), strict=True))


def carried(shop: list[Seen], weights: dict[str, float]) -> list[float]:
    """How many opt-outs fewer than by the score, in the mean over a shop's seeds, by ``weights``."""
    by_name = np.array([weights.get(name, 0.0) for name in NAMES])
    return _mean([over_score(seen, seen.rows @ by_name) for seen in shop])


def _mean(fewer: list[list[float]]) -> list[float]:
    return [round(float(mean), 3) for mean in np.mean(fewer, axis=0)]


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("shops", nargs="+", help="names or TOML files, two at least to tell how far priors carry")
    parser.add_argument("--seeds", type=int, default=3, help="so many from --seed on")
    given = parser.parse_args()
    seeds = range(given.seed, given.seed + given.seeds)
    seen = {shop: [run(shop, seed, (*PUSHED, *given.set), by_views=False) for seed in seeds] for shop in given.shops}
    of_program = {feature.name: feature.leave for feature in FEATURES}
    fitted = fit([one for many in seen.values() for one in many])
    figures: dict[str, Any] = {"priors": {name: round(weight, 2) for name, weight in fitted.items()}}
    for shop, own in seen.items():
        others = [one for name, many in seen.items() if name != shop for one in many]
        foretold = _mean([over_score(one, one.chances["foretold"][:, 0]) for one in own])
        figures[shop] = {"foretold": foretold, "prior": carried(own, of_program)}
        if others:
            figures[shop]["others"] = carried(own, fit(others))
    figures["settings"] = {"seeds": list(seeds), "overrides": [*PUSHED, *given.set], **machine()}
    write(figures, given.json)


if __name__ == "__main__":
    main()
