"""How often the intervals of off-policy estimates hold, over many logs of a world whose truth is known.

The world is that of ``tests/ope/truth.py``: users with tastes, a logging policy that guesses and explores 30 %, a
better policy to be judged. Of each size so many logs are drawn; told is, by estimator and kind of interval, the share
of logs whose 95 % interval holds the truth, the bias, and the spread. A share's own standard error is 0.7 points over
1,000 logs.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from load_tests.harness import arguments, machine, write
from streamer.ope import estimators
from streamer.ope.intervals import KINDS, intervals
from streamer.ope.model import expectations
from tests.ope.truth import value, world

SIZES = (200, 800, 3200)
JUDGED = ("ips", "snips", "clipped", "dr")


def main() -> None:
    """Run the sizes and print a table."""
    parser = arguments(__doc__)
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--replicates", type=int, default=400)
    options = parser.parse_args()
    random = np.random.Generator(np.random.PCG64(7))
    truth = value(random)
    runs: list[dict[str, Any]] = []
    for users in SIZES:
        began = time.perf_counter()
        hits = {kind: np.zeros(len(estimators.NAMES) + 1) for kind in KINDS}
        values = []
        for at in range(options.logs):
            log, target, _ = world(random, users)
            taken, (expected,) = expectations(log, [target], 1)
            rows = estimators.columns(
                log,
                estimators.weights(log, target),
                estimators.settled(log, target),
                (taken, expected),
                len(log) ** 0.5,
            )
            values.append(estimators.values(rows.sum(axis=0)))
            for kind in KINDS:
                low, high = intervals(rows, log.users, kind, level=0.95, replicates=options.replicates, seed=at)[0]
                hits[kind] += (low <= truth) & (truth <= high)
        found = np.array(values)
        for name in JUDGED:
            at = estimators.NAMES.index(name)
            covered: dict[str, float] = {kind: round(float(hits[kind][at]) / options.logs, 4) for kind in KINDS}
            bias, spread = float(found[:, at].mean() - truth), float(found[:, at].std())
            runs.append({"rounds": users * 4, "estimator": name, "bias": bias, "spread": spread, **covered})
            print(f"{users * 4:>7,} {name:8} bias {bias:+.5f} spread {spread:.5f} covered {covered}")
        print(f"        {time.perf_counter() - began:.0f} s")
    write({"truth": truth, "logs": options.logs, "machine": machine(), "runs": runs}, options.json)


if __name__ == "__main__":
    main()
