"""A run as it lies on Kafka: the topics that govern pushes, as plain records, and the rules it was to keep to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agents.clients import partitions_of, reader, to_end

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS: Final = ("preferences", "feedback", "ingress", "search", "browse", "purchase", "signals")
TOPICS: Final = (*INPUTS, "catalog", "journal", "decisions", "push-candidates")

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
WEEK_MS: Final = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class Rec:
    """A committed record; ``topic`` without the prefix, ``timestamp`` in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str
    value: bytes | None

    @property
    def place(self) -> str:
        """Where it lies, for people."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True)
class Rules:
    """What the run was to keep to, in the numbers of whoever set it up; 0 or None asks for nothing.

    ``caps``: (pushes, window in milliseconds) to one shopper; ``campaign_caps``: the same by campaign;
    ``category_caps``: for each category of the items shown. ``gap_ms``: between two pushes, doubled by each dismissal
    since the last click, ``doublings`` times at most. ``repeat_ms``: an item is not shown again within it, by one of
    the campaigns ``singled_out`` not after a push of its own (they show what the shopper's own acts or news singled
    out), by others after any; ``dismissed_ms``: nor within this of a push with it that was dismissed. ``again``:
    campaigns that may show what was bought. ``must_consent``: silence is a no. ``coupons``: by campaign, what its
    coupon costs in cents (None: that depends on the item), and what those of a day (UTC) and all of them may cost
    together. ``priorities``: by campaign, which goes first of two that are worth the same, the greater; 0 for others.
    ``experiments``: those that are on, and the names of their arms. ``quiet_hours`` and ``time_zone``: of shoppers who
    said nothing of them.
    """

    caps: tuple[tuple[int, int], ...] = ()
    campaign_caps: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)
    category_caps: tuple[tuple[int, int], ...] = ()
    gap_ms: int = 0
    doublings: int = 0
    repeat_ms: int = 0
    dismissed_ms: int = 0
    again: frozenset[str] = frozenset()
    singled_out: frozenset[str] = frozenset()
    must_consent: bool = False
    coupons: Mapping[str, tuple[int | None, int, int]] = field(default_factory=dict)
    priorities: Mapping[str, int] = field(default_factory=dict)
    experiments: Mapping[str, frozenset[str]] = field(default_factory=dict)
    quiet_hours: tuple[str, ...] = ()
    time_zone: str = "UTC"


@dataclass
class Run:
    """Records by topic and partition, in offset order."""

    rules: Rules
    records: dict[tuple[str, int], list[Rec]] = field(default_factory=lambda: defaultdict(list))

    def of(self, topic: str, partition: int) -> list[Rec]:
        """The records of one partition."""
        return self.records.get((topic, partition), [])

    def partitions(self) -> list[int]:
        """The tasks that there are."""
        return sorted(partition for topic, partition in self.records if topic == "journal")


def fetch(client: Mapping[str, Any], prefix: str, rules: Rules) -> Run:
    """Everything committed in the topics of a run."""
    return asyncio.run(_fetch(client, prefix, Run(rules)))


async def _fetch(client: Mapping[str, Any], prefix: str, run: Run) -> Run:
    async with reader(client) as consumer:
        there = await consumer.topics()
        for topic in TOPICS:
            if prefix + topic not in there:
                continue
            partitions = await partitions_of(consumer, [prefix + topic])
            run.records |= {(topic, tp.partition): [] for tp in partitions}
            async for r in to_end(consumer, partitions):
                rec = Rec(topic, r.partition, r.offset, r.timestamp, (r.key or b"").decode(), r.value)
                run.records[topic, r.partition].append(rec)
    return run
