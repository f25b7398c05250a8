"""A run as it lies on Kafka: the topics that govern pushes, as plain records, and the rules it was to keep to."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agents.clients import partitions_of, reader, to_end

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.governance.rules import Rules

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
