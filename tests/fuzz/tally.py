"""What became of the inputs, and what broke."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


class Broken(AssertionError):  # noqa: N818 -- it tells of a promise
    """A promise that an input broke; the arguments are the promise and the input."""


def held(promise: str, true: object, *given: object) -> None:
    """Raises ``Broken`` unless ``true``. ``given`` is shown, cut."""
    if not true:
        raise Broken(promise, *(repr(each)[:2000] for each in given))


@dataclass
class Tally:
    """Inputs by what was given (a shape, a decoder, a format) and what became of it; and sums of what was looked at."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.outcomes + other.outcomes, self.checks + other.checks)

    @property
    def inputs(self) -> int:
        """How many."""
        return self.outcomes.total()

    def by_outcome(self) -> dict[str, int]:
        """Inputs by outcome, most first."""
        sums: Counter[str] = Counter()
        for (_, outcome), count in self.outcomes.items():
            sums[outcome] += count
        return dict(sums.most_common())

    def by_given(self) -> dict[str, dict[str, int]]:
        """Inputs by what was given, then by outcome."""
        table: dict[str, dict[str, int]] = {}
        for (given, outcome), count in sorted(self.outcomes.items()):
            table.setdefault(given, {})[outcome] = count
        return table

    def as_json(self) -> dict[str, Any]:
        """Everything, for a report."""
        return {"inputs": self.inputs, "outcomes": self.by_given(), "checks": dict(sorted(self.checks.items()))}
