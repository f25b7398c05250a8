"""Which item: rounds of the engine's log in which exploration drew what a push shows first.

A round is a decision that logged its alternatives, whatever became of it: what was drawn may have been sent, held back
by chance or found to be worth too little. All that is part of what the item earned, so that a policy is judged by what
would have come of *proposing* other items, with every rule as it was. Action ``k`` is the item of rank k among the
alternatives: 1 is the best. Rewards are those of ``decisions.py``; of feedback, what was not sent earns 0.

Left out, and counted, are decisions that another campaign's competed with: what was drawn had a say in which of them
won, and one of its items may have lost where another would have won.

The reward model knows the scores of all alternatives, the number of them, and the score of each action; not the
features of the item drawn, which another choice would have changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from streamer.ope.decisions import ANY_TIME, Joined, common, in_time, standardised
from streamer.ope.log import Log, LogError, unsettled
from streamer.ope.policies import THOMPSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.ope.chances import Chances
    from streamer.ope.decisions import Between, Decided, Reward, Told

    Floats = NDArray[np.float64]

COMPETED: Final = "another campaign's push competed with it"
NOT_EXPLORED: Final = "it has no alternatives: nothing was explored, or they were not logged"
_SETTINGS: Final = "give the settings that the log was made under (core.policy.explore_share, experiments)"
_LEAST: Final = 2.0**-21
_ALIKE: Final = 1e-9


def join_items(found: Told, reward: Reward, *, window_ms: int, chances: Chances, between: Between = ANY_TIME) -> Joined:
    """The rounds ``between`` two times with their rewards. Raises ``LogError``."""

    def refused(_user: str, row: Decided) -> str:
        if not row.a:
            return NOT_EXPLORED
        return COMPETED if row.d in found.competed else ""

    kept, left = in_time(found, window_ms, refused, between)
    rows = [row for _, _, row in kept]
    kinds = max(len(row.a) for row in rows)
    offered, odds = np.zeros((len(rows), kinds)), np.zeros((len(rows), kinds))
    actions = np.empty(len(rows), np.int64)
    for at, row in enumerate(rows):
        items = [item for item, _, _ in row.a]
        if not row.i or row.i[0] not in items:
            raise LogError(f"decision {row.d} shows an item first that is not among its alternatives")
        actions[at] = items.index(row.i[0])
        offered[at, : len(items)] = [each for _, _, each in row.a]
        p = np.clip([score for _, score, _ in row.a], _LEAST, 1.0 - _LEAST)
        odds[at, : len(items)] = np.log(p / (1.0 - p))
    there = offered > 0
    shares = np.array([chances.policy(user).explore_share for user, _, _ in kept])
    log = Log(
        actions=actions,
        propensities=offered[np.arange(len(rows)), actions],
        context=standardised(np.column_stack([odds, there.sum(axis=1)]).tolist()),
        names=tuple(str(rank + 1) for rank in range(kinds)),
        settled=unsettled(kinds),
        scores={},
        offered=offered,
        merits=_centred(odds, there),
        choices=there,
        tables={THOMPSON: _explored(offered, shares, rows)},
        **common(found, kept, reward, window_ms),
    )
    return Joined(log, left, chances.notes(rows))


def _explored(offered: Floats, shares: Floats, rows: Sequence[Decided]) -> Floats:
    """[n, K]: the probabilities of what is explored, of those of everything and the share that is explored."""
    if not (shares > 0).all():
        raise LogError("core.policy.explore_share is 0 for shoppers whose decisions explored: " + _SETTINGS)
    table = offered.copy()
    table[:, 0] -= 1.0 - shares
    table /= shares[:, None]
    wrong = np.flatnonzero(table[:, 0] < -_ALIKE)
    if len(wrong):
        raise LogError(
            f"decision {rows[wrong[0]].d} took the best item with a probability of {offered[wrong[0], 0]:.4g}, which "
            f"exploring {shares[wrong[0]]:.4g} would never do: {_SETTINGS}"
        )
    table = np.maximum(table, 0.0)
    found: Floats = table / table.sum(axis=1, keepdims=True)
    return found


def _centred(odds: Floats, there: NDArray[np.bool_]) -> Floats:
    """[n, K]: log-odds with a mean of 0 and a deviation of 1 over all that could be chosen, 0 of what there is not."""
    every = odds[there]
    spread = every.std()
    return np.where(there, (odds - every.mean()) / (spread if spread > 0 else 1.0), 0.0)
