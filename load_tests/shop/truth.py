"""What really happened, and what would have happened without pushes: by shopper and day, as JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

COUNTED: Final = (
    "pushes",
    "clicks",
    "dismissals",
    "opt_outs",
    "conversions",
    "anyway",
    "attributed",
    "value",
    "value_anyway",
    "expected",
    "regret",
)
"""Pushes delivered and what was made of them; orders, those there would have been without pushes, those that a click
led to (also where it only brought them forward); their margins; the expected money of the pushes, and how far it is
below the best single push or silence of that day."""


@dataclass
class Truth:
    """The log of one run. ``days[shopper, day]`` counts by name; ``kinds``: by shopper; ``made_by``: what program."""

    shop: str
    seed: int
    arm: str
    days_run: int
    kinds: tuple[str, ...]
    days: dict[tuple[int, int], dict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: dict.fromkeys(COUNTED, 0.0))
    )
    pushes: list[dict[str, Any]] = field(default_factory=list)
    made_by: str = ""

    def add(self, shopper: int, day: int, **amounts: float) -> None:
        """Count for a shopper's day."""
        row = self.days[shopper, day]
        for name, amount in amounts.items():
            row[name] += amount

    def by_shopper(self, name: str) -> list[float]:
        """Sums over the days, by shopper."""
        found = [0.0] * len(self.kinds)
        for (shopper, _), row in sorted(self.days.items()):
            found[shopper] += row[name]
        return found

    def by_day(self, name: str) -> list[float]:
        """Sums over shoppers, by day."""
        found = [0.0] * self.days_run
        for (_, day), row in sorted(self.days.items()):
            found[day] += row[name]
        return found

    def total(self, name: str) -> float:
        """Over all."""
        return sum(self.by_day(name))

    def write(self, path: Path) -> None:
        """As JSON: a head, a row for each shopper and day on which something happened, and every push."""
        rows = [
            [shopper, day, *(round(row[name], 6) for name in COUNTED)]
            for (shopper, day), row in sorted(self.days.items())
        ]
        head = {name: getattr(self, name) for name in ("shop", "seed", "arm", "days_run", "kinds", "made_by")}
        totals = {name: round(self.total(name), 4) for name in COUNTED}
        body = head | {"totals": totals, "columns": ["shopper", "day", *COUNTED], "rows": rows, "pushes": self.pushes}
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = path.with_suffix(".part")
        whole.write_text(json.dumps(body) + "\n", encoding="utf-8")
        whole.replace(path)

    @staticmethod
    def read(path: Path) -> Truth:
        """What was written."""
        body = json.loads(path.read_text(encoding="utf-8"))
        head = {name: body[name] for name in ("shop", "seed", "arm", "days_run", "made_by")}
        truth = Truth(**head, kinds=tuple(body["kinds"]))
        for shopper, day, *amounts in body["rows"]:
            truth.add(shopper, day, **dict(zip(body["columns"][2:], amounts, strict=True)))
        truth.pushes = body["pushes"]
        return truth
