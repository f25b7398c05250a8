"""Whether a log can answer at all: what the target would do and the log never did, and how few rounds carry the rest.

**Support**: the share of the target's probability on actions that the logging policy could take where the target takes
them. Where it is not 1, no estimator that weighs rounds is right, whatever its interval says.
**Effective sample size**: (sum of w)² / sum of w² (Kish, "Survey sampling", 1965), as many equally weighted rounds
would tell as much. Where the log has the probabilities of all actions, it is also known what that is to be expected to
be, (sum of m)² / sum of π² / p over all that must be tried: a log may happen to lack the few rounds that weigh most,
and look well supported for that very reason. **Effective rewards**: the same of ``|w r|``, since a thousand rounds with
one click tell next to nothing, and an interval made of them is too sure. **Effective users**: the same of each user's
sum of w, as rounds of one user hang together and intervals are made by drawing users. **Mean weight**: expected to be
the target's mass on what must be tried (1 where everything must); far from it means that propensities are wrong, or
support missing unseen.

Each round may count ``times`` so much, as where users count once whatever their rounds (``judge.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.ope.log import Log, Target

    Floats = NDArray[np.float64]

UNSUPPORTED: Final = 0.01
"""As much of a target's probability may be where the log has nothing. Its reward is then off by at most so much times
the range of the rewards, which is less than the intervals of logs one can have."""
EFFECTIVE: Final = 100.0
"""As many effective rounds an answer needs unless told."""
REWARDED: Final = 5.0
"""As many effective rewards an answer needs. Fewer tell nothing; but to ask for more refuses the logs that happened to
have few, and those that are left have too much: where 9 are expected, intervals of the logs that had 10 cover too
seldom, and of those that had 5 as often as they say."""
USERS: Final = 20.0
"""As many effective users an answer needs: of fewer, an interval that draws users anew holds too seldom."""
HEAVY: Final = 0.05
"""A round that carries more than this share of all weight is told of."""
_NAMED: Final = 3
_APART: Final = 4.0
"""A mean weight that is off by more than so many standard errors is not off by chance,"""
_WRONG: Final = 0.05
"""and by more than this share, the estimates are off as well."""
_CHUNK: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class Support:
    """``share`` as above, ``lacking`` the actions that have most of the rest, with it, ``most`` the weightiest first.

    ``expected`` is what ``effective`` is expected to be, infinite where that is not known. ``users``: effective ones.
    ``largest`` is the share of all weight that the weightiest round carries; ``mass`` what ``mean_weight`` should be.
    ``explore``: the share of decisions to be drawn at random, uniformly, so that a log of this size has enough.
    """

    share: float
    effective: float
    expected: float
    rewarded: float
    users: float
    largest: float
    largest_weight: float
    mean_weight: float
    mean_weight_error: float
    mass: float
    lacking: tuple[tuple[str, float], ...]
    explore: float

    @property
    def off(self) -> bool:
        """Whether the mean weight is not what is due, by more than chance."""
        return abs(self.mean_weight - self.mass) > _APART * self.mean_weight_error + 1e-9

    @property
    def wrong(self) -> bool:
        """Whether it is off by so much that the estimates are too."""
        return self.off and abs(self.mean_weight - self.mass) > _WRONG * self.mass


def support(log: Log, target: Target, weighed: tuple[Floats, Floats], times: Floats, needed: float) -> Support:
    """Of a target, ``weighed``: the weights [n] and its mass [n] on what must be tried; ``needed`` effective rounds.

    ``times`` [n], with a sum of n: how much each round counts.
    """
    w, mass = weighed
    w, mass = w * times, mass * times
    must = np.isnan(log.settled)
    short = np.zeros(len(log.names))
    missed = 0
    # Rounds alike in what the target does and in what was possible are looked at together.
    possible, row = log.possible()
    pairs, which, counts = np.unique(
        np.column_stack([target.rows, row]), axis=0, return_inverse=True, return_counts=True
    )
    counted = np.bincount(which.reshape(-1), times)
    for begin in range(0, len(pairs), _CHUNK):
        chosen, at = pairs[begin : begin + _CHUNK].T
        gone = np.where(must & ~possible[at], target.table[chosen], 0.0)
        short += counted[begin : begin + _CHUNK] @ gone
        missed += int(counts[begin : begin + _CHUNK][gone.sum(axis=1) > UNSUPPORTED].sum())
    n = len(log)
    total, of_all = float(w.sum()), float(mass.sum())
    order = np.argsort(-short, kind="stable")[:_NAMED]
    share = 1.0 - float(short.sum()) / of_all if of_all else 1.0
    tried = missed if missed and share < 1 - UNSUPPORTED else n
    users = np.bincount(log.users, w - mass)
    return Support(
        share=share,
        effective=effective(w),
        expected=_expected(log, target, of_all, times),
        rewarded=effective(np.abs(w * log.rewards)),
        users=effective(np.bincount(log.users, w).astype(np.float64)),
        largest=float(w.max()) / total if total else 0.0,
        largest_weight=float(w.max()),
        mean_weight=total / n,
        mean_weight_error=float(np.sqrt((users**2).sum())) / n,
        mass=of_all / n,
        lacking=tuple((log.names[k], float(short[k]) / n) for k in order if short[k] > 0),
        explore=len(log.names) * needed / tried,
    )


def effective(weights: Floats) -> float:
    """As many equal ones would tell as much (Kish)."""
    most = float(weights.max())
    if not most:
        return 0.0
    # Relative to the largest, so that no square leaves the range of floats.
    shares = weights / most
    return float(shares.sum()) ** 2 / float((shares**2).sum())


def _expected(log: Log, target: Target, mass: float, times: Floats) -> float:
    """What the effective sample size is expected to be; ``mass``: the target's, on what must be tried."""
    if log.offered is None:
        return float("inf")
    must, squares = np.isnan(log.settled), 0.0
    for begin in range(0, len(log), _CHUNK):
        chosen = target.table[target.rows[begin : begin + _CHUNK]][:, must]
        offered = log.offered[begin : begin + _CHUNK][:, must]
        chosen = chosen * times[begin : begin + _CHUNK, None]
        squares += float((chosen**2 / np.where(offered > 0, offered, np.inf)).sum())
    return mass**2 / squares if squares else float("inf")


def refusal(found: Support, log: Log, needed: float, uneven: str = "") -> list[str]:
    """Why there is no answer, a sentence each, and what would give one; empty if there is an answer.

    ``uneven``: of rounds that are not of alike users, what there is to say.
    """
    why = []
    if found.share < 1 - UNSUPPORTED:
        most = ", ".join(f"{name} ({share:.1%})" for name, share in found.lacking)
        why.append(
            f"no support: {1 - found.share:.1%} of what this policy would do was never possible in the log; most "
            f"of it: {most}"
        )
    if found.mass and found.expected < needed <= found.effective:
        why.append(
            f"too little support: by the probabilities in the log, the {len(log):,} rounds tell as much as "
            f"{found.expected:.1f} rounds of the policy itself would ({needed:.0f} are needed); this log looks better "
            "than that because it lacks the rounds that would weigh most"
        )
    elif found.mass and found.effective < needed:
        why.append(
            f"too little support: the {len(log):,} rounds tell as much as {found.effective:.1f} rounds of the policy "
            f"itself would ({needed:.0f} are needed), and one of them carries {found.largest:.0%} of all weight"
        )
    if why:
        return [*why, _remedy(found, log, needed)]
    if found.mass and found.users < USERS:
        why.append(
            f"too few users: the weights are spread as if over {found.users:.1f} users ({USERS:.0f} are needed), and "
            "rounds of one user hang together; more rounds of the same users will not do"
        )
    if found.wrong:
        cause = uneven or (
            "the settings or propensities given cannot be those that the log was made under (or the policy has support "
            "that was not seen to be missing)"
        )
        why.append(f"{_mean_weight(found)}: {cause}")
    if not why and found.mass and found.rewarded < REWARDED:
        why.append(
            f"too few rewards: what this policy would earn hangs on as much as {found.rewarded:.1f} rewarded rounds "
            f"({REWARDED:.0f} are needed); a log {REWARDED / max(found.rewarded, 1):.0f} times as long may do"
        )
    return why


def doubts(found: Support, uneven: str = "") -> list[str]:
    """What an answer should be taken with, a sentence each; ``uneven`` as ``refusal`` has it."""
    told = []
    if found.largest > HEAVY:
        told.append(f"one round carries {found.largest:.0%} of all weight")
    if found.off:
        told.append(f"{_mean_weight(found)}: the propensities may be wrong")
    if found.mass and uneven:
        told.append(uneven)
    return told


def _mean_weight(found: Support) -> str:
    return (
        f"weights have a mean of {found.mean_weight:.3f} ± {found.mean_weight_error:.3f} where {found.mass:.3f} is due"
    )


def _remedy(found: Support, log: Log, needed: float) -> str:
    kinds = len(log.names)
    rounds = f"{kinds * needed:,.0f}"
    if found.explore > 1:
        return (
            f"even choosing evenly among the {kinds} actions in every decision would need {rounds} of them "
            f"for {needed:.0f} effective rounds"
        )
    return (
        f"what would do: choose evenly among the {kinds} actions in {found.explore:.1%} of such decisions, and log "
        f"with which probability; as many decisions again then hold {needed:.0f} effective rounds"
    )
