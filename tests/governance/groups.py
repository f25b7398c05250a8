"""Who is held back, and who is in which arm of which experiment.

Both follow from a stable hash. So what one decision tells of a shopper holds for the whole run, also before it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from tests.governance.run import Run


@dataclass
class Groups:
    """``held``: shoppers who are pushed nothing; ``controls``: (shopper, campaign) of those whom one leaves alone.

    ``arms``: by shopper and experiment, the one told first.
    """

    held: set[str] = field(default_factory=set)
    controls: set[tuple[str, str]] = field(default_factory=set)
    arms: defaultdict[str, dict[str, str]] = field(default_factory=lambda: defaultdict(dict))

    def amiss(self, user: str, told: Iterable[str], on: Mapping[str, frozenset[str]]) -> Iterator[str]:
        """What is wrong with the arms that a row on a shopper tells, each as ``experiment:arm``.

        ``on``: the arms of the experiments that are on, of which a row tells each; empty if nobody knows.
        """
        arms, named = self.arms[user], set()
        for experiment, arm in map(_parted, told):
            named.add(experiment)
            if arms.setdefault(experiment, arm) != arm:
                yield f"puts {user} into {arm} of {experiment}, who is in {arms[experiment]}"
            elif on and arm not in on.get(experiment, ()):
                yield f"puts {user} into {arm} of {experiment}, which has no such arm"
        if untold := (on.keys() | arms.keys()) - named:
            yield f"does not tell in which arm of {sorted(untold)} {user} is"


def groups_of(run: Run) -> Groups:
    """As the decisions of the whole run tell."""
    groups = Groups()
    for (topic, _), records in run.records.items():
        for rec in records if topic == "decisions" else ():
            body = json.loads(rec.value or b"{}")
            if body.get("r") == "holdout":
                groups.held.add(rec.key)
            elif body.get("r") == "control":
                groups.controls.add((rec.key, body.get("c", "")))
            for experiment, arm in map(_parted, body.get("x", [])):
                groups.arms[rec.key].setdefault(experiment, arm)
    return groups


def _parted(told: str) -> tuple[str, str]:
    experiment, _, arm = told.partition(":")
    return experiment, arm
