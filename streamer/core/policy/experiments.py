"""Experiments: shoppers are split into arms by a stable hash, and each arm decides by settings of its own.

An experiment is data, read from a file by the shell. Each has a salt, so that the arms of two experiments do not depend
on one another, and so that one that is begun anew draws anew. Which arms a shopper is in goes into each decision that
was ranked, and into the candidate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from streamer.core.events import key64
from streamer.core.sampling import ARMS, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.settings import PolicySettings


class Arm(msgspec.Struct, frozen=True, gc=False):
    """``share``: of the shoppers. ``changes``: fields of ``PolicySettings`` and their values in this arm."""

    name: str
    share: float
    changes: tuple[tuple[str, Any], ...] = ()


class Experiment(msgspec.Struct, frozen=True, gc=False):
    """``arms``: their shares sum to 1."""

    name: str
    arms: tuple[Arm, ...]
    salt: str = ""

    def arm(self, user: str) -> Arm:
        """The arm a shopper is in, always the same."""
        at = share(key64(f"{self.salt}\n{self.name}\n{user}"), ARMS)
        for arm in self.arms:
            at -= arm.share
            if at < 0.0:
                return arm
        return self.arms[-1]


class Terms(NamedTuple):
    """What a shopper is decided by: the settings, and the arms they come from, as (experiment, arm)."""

    settings: PolicySettings
    arms: tuple[tuple[str, str], ...] = ()


class Splits:
    """The experiments that are on. No two change the same setting: what an arm is called would not be what it does."""

    def __init__(self, settings: PolicySettings, experiments: Sequence[Experiment] = ()) -> None:
        """Raises ``ValueError`` or ``TypeError`` for an arm whose settings cannot be."""
        self._settings, self._experiments = settings, experiments
        self._by_arms: dict[tuple[int, ...], Terms] = {}
        self._alone: Final = Terms(settings)
        problems = []
        said: dict[str, str] = {}
        for experiment in experiments:
            for name in dict.fromkeys(name for arm in experiment.arms for name, _ in arm.changes):
                if said.setdefault(name, experiment.name) != experiment.name:
                    problems.append(
                        f"{name} is set by experiment {said[name]!r} and by {experiment.name!r}: make them one, or run "
                        "one after the other"
                    )
            for arm in experiment.arms:
                try:
                    replace(settings, **dict(arm.changes))
                except ValueError as exc:
                    problems += [f"arms.{arm.name}.set: {line}" for line in str(exc).splitlines()]
        if problems:
            raise ValueError("\n".join(problems))

    def of(self, user: str) -> Terms:
        """The terms of a shopper; without experiments everybody's are the same."""
        if not self._experiments:
            return self._alone
        drawn = [experiment.arm(user) for experiment in self._experiments]
        key = tuple([id(arm) for arm in drawn])
        found = self._by_arms.get(key)
        if found is None:
            settings = self._settings
            for arm in drawn:
                settings = replace(settings, **dict(arm.changes))
            named = zip(self._experiments, drawn, strict=True)
            found = self._by_arms[key] = Terms(settings, tuple([(one.name, arm.name) for one, arm in named]))
        return found
