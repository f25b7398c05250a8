"""What is known of items, as of a place in the journal: what the catalog has said by then, and of categories also what
the shoppers' events told.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any, Final

from tests.governance.events import category_of, read

if TYPE_CHECKING:
    from tests.governance.events import Event
    from tests.governance.run import Run

LEARNED_MS: Final = 86_400_000
"""After so long everybody knows what an event told: it takes another role to say so, which may have been down."""


class Goods:
    """One task's copy of the catalog. ``said``: by item, all its entries so far; ``read``: up to where it was read."""

    def __init__(self, run: Run, agreed: dict[str, str]) -> None:
        """``agreed``: ``agreed_categories`` of the run."""
        self._catalog = deque(run.of("catalog", 0))
        self._agreed = agreed
        self._now: dict[str, dict[str, Any]] = {}
        self._told_ms: dict[str, int] = {}
        self._gone: set[str] = set()
        self.said: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.read = 0

    def follow(self, end: int) -> None:
        """The catalog up to where the task's copy of it was."""
        self.read = max(self.read, end)
        while self._catalog and self._catalog[0].offset < end:
            rec = self._catalog.popleft()
            if rec.value is None:
                self._now.pop(rec.key, None)
                self._gone.add(rec.key)
            else:
                self._now[rec.key] = json.loads(rec.value)
                self.said[rec.key].append(self._now[rec.key])
                self._gone.discard(rec.key)

    def hear(self, event: Event, now_ms: int) -> None:
        """An event may tell of its items' categories."""
        for line in event.lines if event.done else ():
            if category_of(line):
                self._told_ms.setdefault(line["id"], now_ms)

    def can_be_had(self, item: str) -> bool:
        """As far as the catalog says."""
        return item not in self._gone and self._now.get(item, {}).get("stock", 1) != 0

    def category(self, item: str, now_ms: int) -> str:
        """As the catalog says; else as all events do, if one did long ago. "" if it is not known for certain."""
        told_ms = self._told_ms.get(item)
        learned = told_ms is not None and told_ms <= now_ms - LEARNED_MS
        return category_of(self._now.get(item, {})) or (self._agreed.get(item, "") if learned else "")


def agreed_categories(run: Run) -> dict[str, str]:
    """By item, the one category that all events of the run tell; not those of which they tell two."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for (topic, _), records in run.records.items():
        for rec in records if topic in {"browse", "purchase", "search", "ingress", "signals"} else ():
            event = read(rec)
            for line in event.lines if event is not None and event.done else ():
                if category := category_of(line):
                    told[line["id"]].add(category)
    return {item: next(iter(names)) for item, names in told.items() if len(names) == 1}
