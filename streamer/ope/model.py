"""What a reward is to be expected of an action: the model of the direct method and of the doubly robust estimate.

Linear in the context, the action and the position, with a ridge: logistic for rewards of 0 and 1 (iteratively
reweighted least squares: Green, JRSS B 46, 1984), least squares for others. It is **cross-fitted**: users are dealt
into folds, and what is expected of a fold's rounds comes from a model of the other folds, so that no round is explained
by itself (Chernozhukov et al., The Econometrics Journal 21, 2018). A poor model costs the doubly robust estimate width,
not truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.ope.log import Log, Target

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FOLDS: Final = 3
ROUNDS: Final = 100_000
"""As many rounds a fold's model is fitted on at most: more tell a hundred weights nothing new."""
ACTIONS: Final = 128
"""As many actions have a weight of their own, the most frequent; the others share one."""

_RIDGE: Final = 1.0
_STEPS: Final = 25
_CHUNK: Final = 1 << 16
_LARGE: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Reward:
    """A fitted model. The margin: ``context @ slopes + places[position] + gains[action] + merit * merits[action]``."""

    slopes: Floats
    places: Floats
    gains: Floats
    merit: float
    logistic: bool

    def expected(self, margins: Floats) -> Floats:
        """The reward at ``margins``."""
        if not self.logistic:
            return margins
        found: Floats = 1.0 / (1.0 + np.exp(-np.clip(margins, -40.0, 40.0)))
        return found


def folds(log: Log, seed: int) -> Ints:
    """[n]: the fold of each round, by user."""
    random = np.random.Generator(np.random.PCG64(seed))
    dealt: Ints = random.integers(0, FOLDS, int(log.users.max()) + 1)
    return dealt[log.users]


def expectations(log: Log, targets: list[Target], seed: int) -> tuple[Floats, list[Floats]]:
    """What is expected of the action logged, [n], and of each target, [n]; of settled actions, what is known."""
    taken = np.empty(len(log))
    found = [np.empty(len(log)) for _ in targets]
    dealt = folds(log, seed)
    known = ~np.isnan(log.settled)
    for fold in range(FOLDS):
        model = fit(log, np.flatnonzero(dealt != fold), seed)
        inside = np.flatnonzero(dealt == fold)
        for begin in range(0, len(inside), _CHUNK):
            at = inside[begin : begin + _CHUNK]
            base = np.einsum("nd,d->n", log.context[at], model.slopes) + model.places[log.positions[at]]
            margins = base[:, None] + model.gains
            if log.merits is not None:
                margins += model.merit * log.merits[at]
            expected = model.expected(margins)
            expected[:, known] = log.settled[known]
            taken[at] = expected[np.arange(len(at)), log.actions[at]]
            for target, each in zip(targets, found, strict=True):
                each[at] = (target.table[target.rows[at]] * expected).sum(axis=1)
    return taken, found


def fit(log: Log, rounds: Ints, seed: int) -> Reward:
    """A model of the ``rounds`` (indices), those whose action is settled left out."""
    rounds = rounds[np.isnan(log.settled[log.actions[rounds]])]
    if len(rounds) > ROUNDS:
        random = np.random.Generator(np.random.PCG64(seed))
        rounds = random.choice(rounds, ROUNDS, replace=False)
    shared = _shared(log)
    width, places = log.context.shape[1], int(log.positions.max()) + 1
    x = np.zeros((len(rounds), width + places + int(shared.max()) + 1 + (log.merits is not None)))
    row = np.arange(len(rounds))
    x[:, :width] = log.context[rounds]
    x[row, width + log.positions[rounds]] = 1.0
    x[row, width + places + shared[log.actions[rounds]]] = 1.0
    if log.merits is not None:
        x[:, -1] = log.merits[rounds, log.actions[rounds]]
    y = log.rewards[rounds]
    logistic = bool(np.isin(log.rewards, (0.0, 1.0)).all())
    # Places stand for the intercept, so they are not drawn to 0.
    ridge = np.full(x.shape[1], _RIDGE)
    ridge[width : width + places] = 1e-3
    if logistic:
        beta = _newton(x, y, ridge)
    else:
        beta = np.linalg.solve(_gram(x, x) + np.diag(ridge), np.einsum("nd,n->d", x, y))
    merit = float(beta[-1]) if log.merits is not None else 0.0
    return Reward(beta[:width], beta[width : width + places], beta[width + places :][shared], merit, logistic)


def _newton(x: Floats, y: Floats, ridge: Floats) -> Floats:
    beta = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(np.einsum("nd,d->n", x, beta), -30.0, 30.0)))
        slope = np.einsum("nd,n->d", x, y - p) - ridge * beta
        step = np.linalg.solve(_gram(x * (p * (1 - p))[:, None], x) + np.diag(ridge), slope)
        # A step of more than a few units of log-odds overshoots where clicks are rare.
        beta += step * min(1.0, 3.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    return beta


def _gram(a: Floats, b: Floats) -> Floats:
    """The product of ``a`` transposed and ``b``; by the BLAS only where that pays for waking its threads."""
    if a.size * b.shape[1] > _LARGE:
        large: Floats = a.T @ b
        return large
    small: Floats = np.einsum("ni,nj->ij", a, b)
    return small


def _shared(log: Log) -> Ints:
    """[K]: which weight an action has."""
    counts = np.bincount(log.actions, minlength=len(log.names))
    if len(counts) <= ACTIONS:
        return np.arange(len(counts))
    found = np.full(len(counts), ACTIONS)
    found[np.argsort(-counts, kind="stable")[:ACTIONS]] = np.arange(ACTIONS)
    return found
