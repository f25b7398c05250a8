"""The policies that can be judged, by what they are called on the command line.

========================  ==============================================================================================
``logged``                what the log's own policy earned
``random``                every action alike, of those there are in a round
``explore:X``             of a log of items: the share X is drawn as the log's exploration draws, the others take the
                          best; ``explore:0`` never explores
``popular``               always the action that earned most a round, by inverse propensity, found in the other folds
``always:ACTION``         always that action
``arm:EXPERIMENT=ARM``    everybody in that arm of an experiment; whom the experiment leaves out is left out here too
``threshold:X``           push if the score is at least X, else not; ``threshold:NAME:X`` looks at another score
``file:PATH``             the probabilities in a file (``files.read_target``)
========================  ==============================================================================================
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.ope.log import LogError, Target, single
from streamer.ope.model import FOLDS, folds

if TYPE_CHECKING:
    from streamer.ope.log import Log

SEND: Final = "send"
HOLD: Final = "hold"
#: The score that ``threshold:X`` looks at.
SCORE: Final = "score"
#: The table of ``Log.tables`` that has the probabilities of what is explored.
THOMPSON: Final = "thompson"


def random(log: Log) -> Target:
    """Every action alike, of those there are in a round."""
    if log.choices is not None:
        return Target("random", log.choices / log.choices.sum(axis=1, keepdims=True), np.arange(len(log)))
    kinds = len(log.names)
    return Target("random", np.full((1, kinds), 1.0 / kinds), single(len(log)))


def always(log: Log, action: str, name: str = "") -> Target:
    """One action, whatever the context. Raises ``LogError`` if the log never names it."""
    if action not in log.names:
        shown = ", ".join(log.names[:10]) + (", …" if len(log.names) > 10 else "")
        raise LogError(f"there is no action {action!r} in the log; it has {shown}")
    table = np.zeros((1, len(log.names)))
    table[0, log.names.index(action)] = 1.0
    return Target(name or f"always:{action}", table, single(len(log)))


def popular(log: Log, seed: int) -> Target:
    """The action with the highest reward a round by inverse propensity, the mean over positions.

    Each fold's is chosen from the other folds' rounds: chosen from those it is judged on, it would look too good.
    """
    dealt = folds(log, seed)
    table = np.zeros((FOLDS, len(log.names)))
    for fold in range(FOLDS):
        others = dealt != fold
        worth = np.bincount(
            log.actions[others], log.rewards[others] / log.propensities[others], minlength=len(log.names)
        ) / max(int(others.sum()), 1)
        table[fold, int(np.argmax(np.where(np.isnan(log.settled), worth, log.settled)))] = 1.0
    return Target("popular", table, dealt)


def explore(log: Log, share: float) -> Target:
    """Take the best, but for a ``share`` that is drawn as exploration draws it. Raises ``LogError``."""
    if THOMPSON not in log.tables:
        raise LogError("explore:X needs a log of items, of decisions under exploration")
    if not 0 <= share <= 1:
        raise LogError(f"explore:{share:g}: a share lies in [0, 1]")
    table = share * log.tables[THOMPSON]
    table[:, 0] += 1.0 - share
    return Target(f"explore:{share:g}", table, np.arange(len(log)))


def threshold(log: Log, least: float, score: str = SCORE) -> Target:
    """Push from a score of ``least`` on. Raises ``LogError`` if the log has no such score or no such actions."""
    if isnan(least):
        raise LogError("a threshold is a number, not nan")
    if log.names != (HOLD, SEND):
        raise LogError(f"a threshold needs a log of the actions {HOLD} and {SEND}")
    if score not in log.scores:
        raise LogError(f"the log has no score {score!r}; it has {', '.join(log.scores) or 'none'}")
    over = log.scores[score] >= least
    name = f"threshold:{least:g}" if score == SCORE else f"threshold:{score}:{least:g}"
    return Target(name, np.eye(2), over.astype(np.int64))
