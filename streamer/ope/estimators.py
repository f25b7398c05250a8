"""The estimators: what a policy would have earned a round, from rounds in which another policy chose.

With r the reward, a the action logged, p its propensity, π(a|x) the target's probability of it and w = π(a|x) / p:

========  ==============================================  ============================================================
ips       mean of w r                                     Horvitz, Thompson, JASA 47, 1952, 663-685
clipped   mean of min(w, M) r, M = sqrt(n) unless told    Ionides, J. Comput. Graph. Stat. 17, 2008, 295-311
snips     (sum of w r) / (sum of w)                       Swaminathan, Joachims, NIPS 2015
dm        mean of q(x, π), with q a model of the reward   Beygelzimer, Langford, KDD 2009
dr        mean of q(x, π) + w (r - q(x, a))               Dudik, Langford, Li, ICML 2011
========  ==============================================  ============================================================

ips is without bias and has the variance of its weights; clipping trades some of that for a bias downwards (for rewards
of at least 0); snips is consistent, within the range of the rewards, and unmoved by adding a constant to them;
dm has the bias of its model; dr is without bias if either the propensities or the model are right. The names and the
formulas are those of the Open Bandit Pipeline (Saito, Aihara, Matsutani, Narita, NeurIPS Datasets 2021,
arXiv:2008.07146), against which the tests compare them.

**Actions whose reward is known without trying** (``Log.settled``: a push that is not sent is not clicked) are paid what
they earn, ``s`` = sum over them of π(a|x) times that, and left out of the weights; ``m`` is the target's probability of
all other actions. Then snips is (sum of w r) / (sum of w) times the mean of m, plus the mean of s. Without such
actions m is 1, s is 0, and everything is as in the table.

Everything is a function of sums over rounds: ``columns`` gives a row a round, ``values`` makes estimates from sums of
them, so that an interval may add them up by user and draw users anew, or look at their spread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.ope.log import Log, Target

    Floats = NDArray[np.float64]

NAMES: Final = ("ips", "snips", "clipped", "dm", "dr")
#: What ``values`` gives besides: what the logging policy itself earned, the mean of r.
LOGGED: Final = "logged"


def weights(log: Log, target: Target) -> Floats:
    """[n]: w, and 0 where an action was logged whose reward is known without trying it."""
    open_ = np.isnan(log.settled[log.actions])
    return np.where(open_, target.taken(log) / log.propensities, 0.0)


def settled(log: Log, target: Target) -> tuple[Floats, Floats]:
    """(m, s), each [n], as the module has them."""
    known = ~np.isnan(log.settled)
    mass = target.table[:, ~known].sum(axis=1)
    earned = target.table[:, known] @ log.settled[known]
    return mass[target.rows], earned[target.rows]


def columns(log: Log, w: Floats, ms: tuple[Floats, Floats], q: tuple[Floats, Floats], clip: float) -> Floats:
    """[n, 9], whose sums ``values`` takes.

    ``q``: what the reward model expects of the action logged and of the target, each [n]. ``clip`` is M.
    """
    m, s = ms
    q_taken, q_target = q
    r = log.rewards
    return np.column_stack([
        np.ones(len(log)),
        r,
        w,
        w * r,
        m,
        s,
        np.minimum(w, clip) * r,
        np.column_stack([q_target, q_target + w * (r - q_taken)]),
    ])  # fmt: skip


def values(sums: Floats) -> Floats:
    """[..., 6]: the estimates of ``NAMES`` and what was logged, of sums [..., 9]. NaN where there is none."""
    n, r, w, wr, m, s, clipped, dm, dr = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A policy that does nothing that must be tried has nothing to normalise.
        tried = np.where(m == 0, 0.0, wr / w * m)
        return np.stack([(wr + s) / n, (tried + s) / n, (clipped + s) / n, dm / n, dr / n, r / n], axis=-1)


def slopes(sums: Floats) -> Floats:
    """[..., 6, 9]: how each of ``values`` changes with each of the sums [..., 9] that it is made of."""
    n, _, w, wr, m, *_ = np.moveaxis(sums, -1, 0)
    found = values(sums)
    out = np.zeros((*found.shape, sums.shape[-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        # All are of degree 0: of twice the sums they are the same, which gives the slope by n.
        out[..., 0] = -found / n[..., None]
        one, ratio = 1.0 / n, np.where(m == 0, 0.0, wr / w)
        out[..., 0, 3] = out[..., 0, 5] = one
        out[..., 1, 3] = np.where(m == 0, 0.0, m / w) * one
        out[..., 1, 2] = -ratio * np.where(m == 0, 0.0, m / w) * one
        out[..., 1, 4] = ratio * one
        out[..., 1, 5] = out[..., 2, 5] = out[..., 2, 6] = one
        out[..., 3, 7] = out[..., 4, 8] = out[..., 5, 1] = one
    return out
