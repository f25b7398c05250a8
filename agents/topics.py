"""Every topic as data: what it carries, how it is cut and what is kept; and the asking of a cluster for it.

``TOPICS`` is the whole list. A new topic is one line there. Physical names are ``prefix + name``; the rest of the code speaks in
logical names (``browse``, ``changelog-user-profile``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Cut = Literal["tasks", "item_tasks", "one"]
Cleanup = Literal["delete", "compact", "compact,delete"]

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
KIB: Final = 1024
MIB: Final = 1024 * KIB

# A 2 MB record must be able to arrive, so that it can become a dead letter with a reason instead of a producer's error.
_INBOUND: Final = {"max.message.bytes": str(3 * MIB)}

# A tombstone or an overwritten row is really gone within a day, whether or not anything is written after it; small
# segments let the cleaner begin before the default gigabyte is full, since it never touches the segment being written.
_COMPACTED: Final = {
    "max.compaction.lag.ms": str(DAY_MS),
    "min.cleanable.dirty.ratio": "0.2",
    "segment.bytes": str(32 * MIB),
    "delete.retention.ms": str(DAY_MS),
}


class TopicError(RuntimeError):
    """The cluster refused, or cannot be reached; the message says what to do."""


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How the topics of one installation are named and cut.

    ``prefix`` separates tenants and environments. ``partitions`` is the number of user tasks, ``item_partitions`` that of item
    tasks; neither can change while data is kept. ``replication`` is the number of copies of every partition.
    """

    prefix: str = ""
    partitions: int = 4
    item_partitions: int = 4
    replication: int = 1

    def __post_init__(self) -> None:
        """Refuse what Kafka would refuse later and less clearly."""
        for name in ("partitions", "item_partitions", "replication"):
            if getattr(self, name) < 1:
                raise ValueError(f"topics.{name} is {getattr(self, name)}: give 1 or more")
        legal = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        if not set(self.prefix) <= legal or len(self.prefix) > 100:
            raise ValueError(f"topics.prefix is {self.prefix!r}: use at most 100 letters, digits, dots, dashes and underscores")

    def physical(self, name: str) -> str:
        """The name on the cluster of the topic the code calls ``name``."""
        return self.prefix + name

    def logical(self, topic: str) -> str:
        """The other way. Raises ``ValueError`` for a topic of somebody else."""
        if not topic.startswith(self.prefix):
            raise ValueError(f"topic {topic!r} does not begin with the prefix {self.prefix!r}")
        return topic[len(self.prefix) :]


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. ``retention_ms`` counts where ``cleanup`` deletes; None keeps what is not compacted away for ever.

    ``cut`` says how many partitions: one a user task, one an item task, or one. ``key`` and ``what`` are for people.
    """

    name: str
    cut: Cut
    cleanup: Cleanup
    retention_ms: int | None
    key: str
    what: str
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def partitions(self, settings: TopicSettings) -> int:
        """How many partitions this topic has."""
        return {"tasks": settings.partitions, "item_tasks": settings.item_partitions, "one": 1}[self.cut]

    def configs(self) -> dict[str, str]:
        """The topic's configuration as Kafka spells it."""
        retention = -1 if self.retention_ms is None else self.retention_ms
        out = {"cleanup.policy": self.cleanup, "retention.ms": str(retention)}
        return out | (_COMPACTED if "compact" in self.cleanup else {}) | dict(self.extra)


def _changelog(role: str, table: str, cut: Cut, key: str, what: str) -> TopicSpec:
    return TopicSpec(f"changelog-{role}-{table}", cut, "compact", None, key, what)


USER_TABLES: Final = ("profile", "seen", "policy", "tasks")
ITEM_TABLES: Final = ("items", "tasks")
TRAINER_TABLES: Final = ("model_state", "tasks")

TOPICS: Final[tuple[TopicSpec, ...]] = (
    TopicSpec("browse", "tasks", "delete", 7 * DAY_MS, "user", "views, clicks, lists, wishlist, ratings, reviews", _INBOUND),
    TopicSpec("search", "tasks", "delete", 7 * DAY_MS, "user", "searches", _INBOUND),
    TopicSpec("purchase", "tasks", "delete", 7 * DAY_MS, "user", "cart, checkout, order, refund and coupon events", _INBOUND),
    TopicSpec("feedback", "tasks", "delete", 7 * DAY_MS, "user", "what became of a push", _INBOUND),
    TopicSpec("preferences", "tasks", "compact", None, "user", "consent, channels, quiet hours, time zone, erase", _INBOUND),
    TopicSpec("ingress", "tasks", "delete", 7 * DAY_MS, "user", "records re-keyed by us: they arrived under a wrong key", _INBOUND),
    TopicSpec("catalog", "one", "compact", None, "item", "title, categories, tags, brand, price, stock", _INBOUND),
    TopicSpec("push-candidates", "tasks", "delete", 7 * DAY_MS, "user", "the product: push-notification candidates"),
    TopicSpec("decisions", "tasks", "delete", 30 * DAY_MS, "user", "a row per event and campaign: sent or why not"),
    TopicSpec("journal", "tasks", "delete", 30 * DAY_MS, "task", "the order in which a task folded"),
    TopicSpec("dead-letters", "tasks", "delete", 7 * DAY_MS, "as received", "what could not be folded, with its reason and origin"),
    TopicSpec("item-updates", "item_tasks", "delete", 7 * DAY_MS, "item partition", "deltas of items, from the user tasks", _INBOUND),
    TopicSpec("item-index", "item_tasks", "compact", None, "item", "neighbours, counters and trends of an item"),
    TopicSpec("sessions", "tasks", "compact,delete", 30 * DAY_MS, "user", "recent sessions, bounded"),
    TopicSpec("examples", "one", "delete", 7 * DAY_MS, "none", "labelled examples for the trainer"),
    TopicSpec("model", "one", "compact", None, "block", "the trainer's parameters", {"max.message.bytes": str(2 * MIB)}),
    _changelog("user", "profile", "tasks", "user", "rebuilds the profiles"),
    _changelog("user", "seen", "tasks", "user", "rebuilds the fingerprints of events seen"),
    _changelog("user", "policy", "tasks", "user", "rebuilds what was sent, consent and caps"),
    _changelog("user", "tasks", "tasks", "task", "source positions and stream time of the user tasks"),
    _changelog("item", "items", "item_tasks", "item", "rebuilds the item rows"),
    _changelog("item", "tasks", "item_tasks", "task", "source positions of the item tasks"),
    TopicSpec(
        "changelog-trainer-model_state",
        "one",
        "compact",
        None,
        "block",
        "rebuilds the trainer's state",
        {"max.message.bytes": str(2 * MIB)},
    ),
    _changelog("trainer", "tasks", "one", "task", "source positions of the trainer"),
)

BY_NAME: Final[Mapping[str, TopicSpec]] = MappingProxyType({t.name: t for t in TOPICS})

USER_INPUTS: Final = ("browse", "search", "purchase", "feedback", "preferences", "ingress")
ITEM_INPUTS: Final = ("item-updates",)
TRAINER_INPUTS: Final = ("examples",)
REPLICATED: Final = ("catalog", "item-index", "model")

# Groups that one task reads or writes together, so that partition n of each belongs to task n.
COPARTITIONED: Final[tuple[tuple[str, ...], ...]] = tuple(
    tuple(t.name for t in TOPICS if t.cut == cut) for cut in ("tasks", "item_tasks")
)


def changelog(role: str, table: str) -> str:
    """The logical name of a table's changelog. Raises ``KeyError`` where there is none."""
    return BY_NAME[f"changelog-{role}-{table}"].name
