"""Whether groups and arms have the shares of the shoppers that they are to have, as far as chance allows.

The hash is worked out anew elsewhere; that two who compute it may have it wrong alike is what this is for. Whether a
shopper is of the holdout shows when a push to them has passed every other rule, and so does whether they are a control
of the campaign. Each is counted where the other group has no say, whichever of the two is asked first.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from math import exp, lgamma, log
from typing import TYPE_CHECKING, Final

from tests.governance.hashes import is_control, is_held_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.governance.rules import Rules
    from tests.governance.run import Run

LEVEL: Final = 1e-9
"""So seldom is a run in which all is well said not to be."""


def amiss(run: Run) -> Iterator[str]:
    """The groups and arms whose shares chance does not explain."""
    decisions = [
        (rec.key, json.loads(rec.value or b"{}"))
        for (topic, _), records in run.records.items()
        if topic == "decisions"
        for rec in records
    ]
    ends = {(user, body.get("c", ""), body["r"]) for user, body in decisions if body.get("r") in _ENDS}
    yield from _holdout(ends, run.rules)
    yield from _controls(ends, run.rules)
    told = {(user, arm) for user, body in decisions for arm in body.get("x", [])}
    yield from _arms(told, run.rules)


_ENDS: Final = frozenset({"sent", "holdout", "control"})


def _holdout(ends: set[tuple[str, str, str]], rules: Rules) -> Iterator[str]:
    if rules.holdout_share is None:
        return
    shares, seed = rules.control_shares or {}, rules.groups_seed
    ends = {end for end in ends if not is_control(end[0], end[1], shares.get(end[1], 0.0), seed)}
    held = {user for user, _, reason in ends if reason == "holdout"}
    yield from _improbable(len(held), len({user for user, *_ in ends}), rules.holdout_share, "held out")


def _controls(ends: set[tuple[str, str, str]], rules: Rules) -> Iterator[str]:
    if rules.control_shares is None:
        return
    share, seed = rules.holdout_share or 0.0, rules.groups_seed
    ends = {end for end in ends if not is_held_out(end[0], share, seed)}
    for campaign in sorted({campaign for _, campaign, _ in ends}):
        asked = {user for user, name, _ in ends if name == campaign}
        held = {user for user, name, reason in ends if name == campaign and reason == "control"}
        share = rules.control_shares.get(campaign, 0.0)
        yield from _improbable(len(held), len(asked), share, f"controls of {campaign}")


def _arms(told: set[tuple[str, str]], rules: Rules) -> Iterator[str]:
    for experiment in rules.experiments:
        found: Counter[str] = Counter(arm for _, arm in told if arm.startswith(f"{experiment.name}:"))
        total = found.total()
        # Where one arm has too many another has too few.
        yield from islice(_each(experiment.arms, found, total, experiment.name), 1)


def _each(arms: Mapping[str, float], found: Counter[str], total: int, name: str) -> Iterator[str]:
    for arm, share in arms.items():
        yield from _improbable(found[f"{name}:{arm}"], total, share, f"in {arm} of {name}")


def _improbable(count: int, of: int, share: float, what: str) -> Iterator[str]:
    """Whether so many of so many are too few or too many of a share to be chance: a binomial test of both sides. Where
    it is to be all, or none, each one that is not as it should be is told of by itself.
    """
    if 0.0 < share < 1.0 and min(_tail(count, of, share), _tail(of - count, of, 1.0 - share)) < LEVEL / 2:
        yield f"{count} of {of} shoppers are {what}, of whom there should be {share:.4g}"


def _tail(count: int, of: int, share: float) -> float:
    """How probable it is that at most so many are drawn."""
    ways = lgamma(of + 1)
    logs = (
        ways - lgamma(n + 1) - lgamma(of - n + 1) + n * log(share) + (of - n) * log(1.0 - share)
        for n in range(count + 1)
    )
    return sum(map(exp, logs))
