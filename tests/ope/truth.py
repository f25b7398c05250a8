"""A world whose truth is known: users with tastes, a logging policy that explores, another policy to be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.ope.log import Log, Target, single, unsettled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LIKED = np.array([[0.6, -0.4], [-0.5, 0.3], [0.1, 0.6], [-0.3, -0.3]])
_BASE = np.array([0.2, 0.0, -0.3, 0.4]) - 2.3
_GUESS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])


def world(random: np.random.Generator, users: int, *, rounds: int = 4, own: float = 0.3) -> tuple[Log, Target, float]:
    """A log of ``users`` with ``rounds`` each, a policy, and the mean reward that policy expects over these rounds.

    The logging policy takes a greedy guess and explores 30 %; the policy to be judged takes what really is best, with
    10 % at random. ``own`` is how far users differ by more than their tastes tell, in log-odds.
    """
    kinds, n = len(_BASE), users * rounds
    taste = random.normal(size=(users, 2))
    odds = _BASE + taste @ _LIKED.T + random.normal(0.0, own, size=(users, 1))
    chance = (1.0 / (1.0 + np.exp(-odds))).repeat(rounds, axis=0)
    who, context = np.arange(users).repeat(rounds), taste.repeat(rounds, axis=0)
    logging = _mostly((context @ _GUESS.T).argmax(axis=1), 0.3, kinds)
    judged = _mostly((context @ _LIKED.T + _BASE).argmax(axis=1), 0.1, kinds)
    action = (logging.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    row = np.arange(n)
    log = Log(
        users=who,
        actions=action,
        rewards=(random.random(n) < chance[row, action]).astype(np.float64),
        propensities=logging[row, action],
        positions=single(n),
        context=context,
        names=("a", "b", "c", "d"),
        settled=unsettled(kinds),
        scores={},
    )
    return log, Target("best", judged, row), float((judged * chance).sum(axis=1).mean())


def spending(random: np.random.Generator, users: int, *, rounds: int = 3) -> tuple[Log, Target, float]:
    """What users spend, most of them nothing, few of them much. Half of them are pushed; the policy pushes all."""
    n = users * rounds
    who = np.arange(users).repeat(rounds)
    sent = (random.random(users) < 0.5).repeat(rounds)
    spent = (random.random(n) < 0.12) * np.exp(random.normal(0.0, 1.0, n) + random.normal(0.0, 0.5, users)[who])
    log = Log(
        users=who,
        actions=sent.astype(np.int64),
        rewards=np.where(sent, spent, 0.0),
        propensities=np.full(n, 0.5),
        positions=single(n),
        context=np.zeros((n, 0)),
        names=("hold", "send"),
        settled=unsettled(2),
        scores={},
    )
    return log, Target("send", np.array([[0.0, 1.0]]), single(n)), 0.12 * float(np.exp((1.0 + 0.25) / 2))


def value(random: np.random.Generator, *, rounds: int = 4, own: float = 0.3) -> float:
    """What the policy to be judged expects a round, over so many users that their number matters no more."""
    return float(np.mean([world(random, 20_000, rounds=rounds, own=own)[2] for _ in range(10)]))


def _mostly(best: NDArray[np.int64], explored: float, kinds: int) -> Floats:
    table = np.full((len(best), kinds), explored / kinds)
    table[np.arange(len(best)), best] += 1.0 - explored
    return table
