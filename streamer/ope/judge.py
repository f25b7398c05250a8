"""The whole of it: policies and a log in, a report out."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.ope import estimators
from streamer.ope.intervals import intervals
from streamer.ope.model import expectations
from streamer.ope.support import EFFECTIVE, doubts, refusal, support

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.ope.intervals import Kind
    from streamer.ope.log import Log, Target

    Floats = NDArray[np.float64]

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
) -> dict[str, Any]:
    """What each target would have earned a round of ``log``, or why that cannot be told.

    ``kind``, ``level`` and ``replicates`` say how intervals are made, ``clip`` where weights are cut in "clipped"
    (0: at sqrt(n)), ``needed`` how many effective rounds an answer takes. The report is plain data: ``rounds``,
    ``users``, ``actions``, ``logged`` (value, low, high), and ``policies``, each with ``name``, ``support``,
    ``refused`` (sentences) and, if that is empty, ``doubts`` and ``estimates``: by estimator ``value``, ``low``,
    ``high``, and ``above``: by how much it is above what was logged, low and high of that (None where
    there is no interval).
    """
    taken, expected = expectations(log, list(targets), seed)
    cut = clip or sqrt(len(log))
    how: dict[str, Any] = {"level": level, "replicates": replicates, "seed": seed}
    nothing = np.zeros(len(log))
    plain = estimators.columns(log, nothing, (nothing, nothing), (nothing, nothing), cut)
    judged = []
    for target, q in zip(targets, expected, strict=True):
        w, ms = estimators.weights(log, target), estimators.settled(log, target)
        found = support(log, target, w, ms[0], needed)
        refused = refusal(found, log, needed)
        one: dict[str, Any] = {
            "policy": target.name,
            "support": {
                "share": found.share,
                "effective_rounds": min(found.effective, found.expected),
                "effective_rewards": found.rewarded,
                "largest_weight": found.largest_weight,
                "largest_share": found.largest,
                "mean_weight": found.mean_weight,
                "mean_weight_due": found.mass,
            },
            "refused": refused,
        }
        if not refused:
            rows = estimators.columns(log, w, ms, (taken, q), cut)
            one["doubts"] = doubts(found)
            one["estimates"] = _estimates(rows, intervals(rows, log.users, kind, **how))
        judged.append(one)
    low, high = intervals(plain, log.users, kind, **how)[0, :, -1].tolist()
    return {
        "rounds": len(log),
        "users": int(log.users.max()) + 1,
        "actions": len(log.names),
        "interval": kind,
        "level": level,
        "logged": {"value": float(log.rewards.mean()), "low": low, "high": high},
        "policies": judged,
    }


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
