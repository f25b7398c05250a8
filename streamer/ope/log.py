"""Logged bandit feedback: what was chosen, with which probability, and what came of it.

One **round** is one choice among actions. Its reward is known for the action that was chosen and for no other; the
probability with which it was chosen is what makes such a log worth something.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]


MOST: Final = 1e15
"""Rewards are smaller than this, or their squares would be no numbers any more."""
LEAST: Final = 1e-30
"""Propensities are greater than this, or the squares of weights would not be."""
CERTAIN: Final = 1.0 - 1e-9
"""A propensity from which on nothing else was possible."""


class LogError(ValueError):
    """A log that cannot be used; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Log:
    """n rounds over K actions.

    ``users`` [n]: whose round it was, dense from 0; rounds of one user hang together, so users are what is drawn anew.
    ``actions`` [n]: the place in ``names`` of what was chosen; ``propensities`` [n]: how probable that was, in (0, 1].
    ``rewards`` [n]. ``positions`` [n]: the place on a page, dense from 0; all 0 where there is one place.
    ``context`` [n, d]: numbers known before the choice, for the reward model.
    ``offered`` [n, K]: the logging policy's probabilities of every action, or None where only ``propensities`` is
    known; then an action counts as possible at a position if it was ever chosen there, but for rounds of propensity 1,
    in which nothing else was.
    ``settled`` [K]: the reward of an action that is known without trying it (a push not sent is not clicked), NaN for
    the others. ``scores``: by name, [n], what a threshold may look at. ``ids`` [n]: names of the rounds, or empty.
    ``merits`` [n, K]: a number known of each action before the choice, for the reward model. ``choices`` [n, K]: which
    actions there were; None: all, in every round. ``tables``: by name, [n, K], policies of the logging policy's making.
    ``places``: what positions are called, or empty. ``uneven``: what to say of rounds that are not of alike users
    (``alike.py``), or "".
    """

    users: Ints
    actions: Ints
    rewards: Floats
    propensities: Floats
    positions: Ints
    context: Floats
    names: tuple[str, ...]
    settled: Floats
    scores: dict[str, Floats]
    offered: Floats | None = None
    ids: tuple[str, ...] = ()
    merits: Floats | None = None
    choices: Bools | None = None
    tables: dict[str, Floats] = field(default_factory=dict)
    places: tuple[str, ...] = ()
    uneven: str = ""

    def __post_init__(self) -> None:
        if not len(self.actions):
            raise LogError("the log has no round that says action, reward and propensity")
        wrong = np.flatnonzero(~((self.propensities > LEAST) & (self.propensities <= 1)))
        if len(wrong):
            raise LogError(
                f"round {wrong[0] + 1} has propensity {self.propensities[wrong[0]]}: it must lie in (0, 1], since what "
                "could not be chosen was not"
            )
        wrong = np.flatnonzero(~(np.abs(self.rewards) < MOST))
        if len(wrong):
            raise LogError(
                f"round {wrong[0] + 1} has reward {self.rewards[wrong[0]]}: it must be a number below {MOST:g}"
            )

    def __len__(self) -> int:
        return len(self.actions)

    def possible(self) -> tuple[Bools, Ints]:
        """Which actions the logging policy could choose: [rows, K], and [n] the row of each round."""
        if self.offered is not None:
            kinds, row = np.unique(self.offered > 0, axis=0, return_inverse=True)
            return kinds, row.reshape(-1)
        seen = np.zeros((int(self.positions.max()) + 1, len(self.names)), np.bool_)
        seen[self.positions, self.actions] = True
        certain = self.propensities >= CERTAIN
        alone, which = np.unique(self.actions[certain], return_inverse=True)
        only = np.zeros((len(alone), len(self.names)), np.bool_)
        only[np.arange(len(alone)), alone] = True
        row = self.positions.copy()
        row[certain] = len(seen) + which.reshape(-1)
        return np.concatenate([seen, only]), row


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to be judged: ``table`` [m, K] of probabilities, rows of sum 1, and ``rows`` [n], a round's row of it.

    Few policies need a row a round, and n times K numbers are many.
    """

    name: str
    table: Floats
    rows: Ints

    def __post_init__(self) -> None:
        wrong = np.flatnonzero(~((np.abs(self.table.sum(axis=1) - 1) <= 1e-3) & (self.table >= 0).all(axis=1)))
        if len(wrong):
            raise LogError(
                f"policy {self.name}: the probabilities of row {wrong[0] + 1} are not at least 0 with a sum of 1 "
                f"(it is {self.table[wrong[0]].sum():.6g})"
            )

    def taken(self, log: Log) -> Floats:
        """[n]: how probable the action that was logged would have been."""
        found: Floats = self.table[self.rows, log.actions]
        return found


def single(n: int) -> Ints:
    """Positions or rows of n rounds that have but one."""
    return np.zeros(n, np.int64)


def unsettled(actions: int) -> Floats:
    """``Log.settled`` where nothing is known without trying."""
    return np.full(actions, np.nan)
