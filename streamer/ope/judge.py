"""The whole of it: policies and a log in, a report out.

Estimates are of what a round earns, each round counting the same; or, weighed by ``users``, the mean over users of what
a round of theirs earns, each round counting by one over the number of its user's. Where who is compared was drawn by
user, and users then came to more or fewer rounds by what was done to them (``alike.py``), the rounds of two groups are
of different users, but their users are alike. What was done to them shows in the context too, from which the reward
model would learn who is left, so that, weighed by users, it goes without.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np

from streamer.ope import estimators
from streamer.ope.intervals import intervals
from streamer.ope.model import expectations
from streamer.ope.support import EFFECTIVE, USERS, doubts, effective, refusal, support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.ope.intervals import Kind
    from streamer.ope.log import Log, Target

    Floats = NDArray[np.float64]

Weigh = Literal["rounds", "users"]
WEIGHED: Final[tuple[Weigh, ...]] = get_args(Weigh)
LEVEL: Final = 0.95
_DIGITS: Final = 12
"""Differences are rounded to so many, or equal policies would differ by a bit."""


def judge(
    log: Log,
    targets: Sequence[Target],
    *,
    kind: Kind = "bootstrap",
    level: float = LEVEL,
    replicates: int = 1000,
    seed: int = 1,
    clip: float = 0.0,
    needed: float = EFFECTIVE,
    weigh: Weigh = "rounds",
) -> dict[str, Any]:
    """What each target would have earned a round of ``log``, or why that cannot be told.

    ``kind``, ``level`` and ``replicates`` say how intervals are made, ``clip`` where weights are cut in "clipped"
    (0: at sqrt(n)), ``needed`` how many effective rounds an answer takes, ``weigh`` what counts the same. The report is
    plain data: ``rounds``,
    ``users``, ``actions``, ``logged`` (value, low, high), and ``policies``, each with ``name``, ``support``,
    ``refused`` (sentences) and, if that is empty, ``doubts`` and ``estimates``: by estimator ``value``, ``low``,
    ``high``, and ``above``: by how much it is above what was logged, low and high of that (None where
    there is no interval).
    """
    known = log if weigh == "rounds" else replace(log, context=log.context[:, :0])
    taken, expected = expectations(known, list(targets), seed)
    cut = clip or sqrt(len(log))
    how: dict[str, Any] = {"level": level, "replicates": replicates, "seed": seed}
    times = _times(log, weigh)
    uneven = log.uneven if weigh == "rounds" else ""
    nothing = np.zeros(len(log))
    plain = estimators.columns(log, nothing, (nothing, nothing), (nothing, nothing), cut) * times[:, None]
    judged = []
    for target, q in zip(targets, expected, strict=True):
        w, ms = estimators.weights(log, target), estimators.settled(log, target)
        found = support(log, target, (w, ms[0]), times, needed)
        refused = refusal(found, log, needed, uneven)
        one: dict[str, Any] = {
            "policy": target.name,
            "support": {
                "share": found.share,
                "effective_rounds": min(found.effective, found.expected),
                "effective_rewards": found.rewarded,
                "effective_users": found.users,
                "largest_weight": found.largest_weight,
                "largest_share": found.largest,
                "mean_weight": found.mean_weight,
                "mean_weight_due": found.mass,
            },
            "refused": refused,
        }
        if not refused:
            rows = estimators.columns(log, w, ms, (taken, q), cut) * times[:, None]
            one["doubts"] = doubts(found, uneven)
            one["estimates"] = _estimates(rows, intervals(rows, log.users, kind, **how))
        judged.append(one)
    low, high = intervals(plain, log.users, kind, **how)[0, :, -1].tolist()
    few = effective(np.bincount(log.users, times).astype(np.float64)) < USERS
    return {
        "rounds": len(log),
        "users": int(log.users.max()) + 1,
        "actions": len(log.names),
        "interval": kind,
        "level": level,
        "weigh": weigh,
        "logged": {
            "value": float((log.rewards * times).mean()),
            "low": None if few else low,
            "high": None if few else high,
        },
        "policies": judged,
    }


def _times(log: Log, weigh: Weigh) -> Floats:
    """[n], with a sum of n: how much each round counts."""
    if weigh == "rounds":
        return np.ones(len(log))
    rounds = np.bincount(log.users)
    found: Floats = len(log) / len(rounds) / rounds[log.users]
    return found


def _estimates(rows: Floats, found: Floats) -> dict[str, Any]:
    """By estimator; ``found`` as ``intervals`` gives it. The direct method has none: its bias is not in the draws."""
    values = estimators.values(rows.sum(axis=0))
    told = {}
    for at, name in enumerate(estimators.NAMES):
        (low, high), (below, over) = found[:, :, at].tolist()
        above = round(float(values[at] - values[-1]), _DIGITS)
        sure = name != "dm"
        told[name] = {
            "value": float(values[at]),
            "low": low if sure else None,
            "high": high if sure else None,
            "above": [above, round(below, _DIGITS) if sure else None, round(over, _DIGITS) if sure else None],
        }
    return told
