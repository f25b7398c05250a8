"""Who is held back, and who is in which arm of which experiment.

Both follow from a stable hash, which is worked out anew here where the shares are known. Where they are not, what one
decision tells of a shopper holds for the whole run, also before it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.governance.hashes import arm_of, is_control, is_held_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.governance.rules import Rules
    from tests.governance.run import Run


@dataclass
class Groups:
    """``held`` and ``controls``: shoppers, and (shopper, campaign), of whom a decision says so. ``arms``: by shopper
    and experiment, the one told first.
    """

    rules: Rules
    held: set[str] = field(default_factory=set)
    controls: set[tuple[str, str]] = field(default_factory=set)
    arms: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def is_held_out(self, user: str) -> bool:
        """Whether nothing may be pushed to a shopper."""
        share = self.rules.holdout_share
        return user in self.held if share is None else is_held_out(user, share, self.rules.groups_seed)

    def is_control(self, user: str, campaign: str) -> bool:
        """Whether a campaign leaves a shopper alone."""
        shares = self.rules.control_shares
        if shares is None:
            return (user, campaign) in self.controls
        return is_control(user, campaign, shares.get(campaign, 0.0), self.rules.groups_seed)

    def rules_of(self, user: str) -> Rules:
        """What is asked of pushes to a shopper."""
        return self.rules.of(tuple(arm_of(user, experiment) for experiment in self.rules.experiments))

    def amiss(self, user: str, told: Iterable[str]) -> Iterator[str]:
        """What is wrong with the arms that a row on a shopper tells, each as ``experiment:arm``. It tells those of
        every experiment.
        """
        arms, named = self.arms[user], set()
        on = {experiment.name: experiment for experiment in self.rules.experiments}
        for experiment, arm in map(_parted, told):
            named.add(experiment)
            if on and experiment not in on:
                yield f"puts {user} into {arm} of {experiment}, which is not on"
            elif on and arm != (drawn := arm_of(user, on[experiment])):
                yield f"puts {user} into {arm} of {experiment}, who is drawn into {drawn}"
            elif arms.setdefault(experiment, arm) != arm:
                yield f"puts {user} into {arm} of {experiment}, who is in {arms[experiment]}"
        if untold := (on.keys() | arms.keys()) - named:
            yield f"does not tell in which arm of {sorted(untold)} {user} is"


def groups_of(run: Run) -> Groups:
    """As the decisions of the whole run tell."""
    groups = Groups(run.rules)
    on = {experiment.name for experiment in run.rules.experiments}
    for (topic, _), records in run.records.items():
        for rec in records if topic == "decisions" else ():
            body = json.loads(rec.value or b"{}")
            if body.get("r") == "holdout":
                groups.held.add(rec.key)
            elif body.get("r") == "control":
                groups.controls.add((rec.key, body.get("c", "")))
            for experiment, arm in map(_parted, body.get("x", [])):
                if not on or experiment in on:
                    groups.arms[rec.key].setdefault(experiment, arm)
    return groups


def _parted(told: str) -> tuple[str, str]:
    experiment, _, arm = told.partition(":")
    return experiment, arm
