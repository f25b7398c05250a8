"""Every topic as data: what it carries, how it is cut and what is kept.

``TOPICS`` is the whole list. A new topic is one line there. Physical names are ``prefix + name``; the rest of the code
speaks in logical names (``browse``, ``changelog-user-profile``). A cluster is asked for them in ``topic_admin.py``.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

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

# Compacted topics of which a replay needs every version within its window, not only the newest.
USER_TABLES: Final = ("profile", "seen", "policy", "pending", "due", "slates", "watch", "tasks")
_REPLAYED: Final = frozenset(
    {"preferences", "catalog", "item-index", "sessions", "model"} | {f"changelog-user-{table}" for table in USER_TABLES}
)
_LONGEST_WINDOW_H: Final = 30 * 24


# What Kafka takes as a topic's name, which may have 249 characters.
_LEGAL: Final = frozenset(string.ascii_letters + string.digits + "._-")
_LONGEST_PREFIX: Final = 100


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """How the topics of one installation are named and cut."""

    prefix: str = ""
    """Begins every topic's name; separates tenants and environments on one cluster."""
    partitions: int = 4
    """Partitions of the topics of user tasks, hence their number. Cannot change while data is kept."""
    item_partitions: int = 4
    """The same for item tasks."""
    replication: int = 1
    """Copies of every partition; 3 where brokers may fail."""
    replay_window_hours: int = 2
    """How far back a replay may begin: topics are created to keep so much whole. That costs disk, and time when a
    worker starts (docs/operations.md). 0 keeps as little as possible; topics that are there already stay."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} = {getattr(self, name)}: choose 1 or more"
            for name in ("partitions", "item_partitions", "replication")
            if getattr(self, name) < 1
        ]
        if not 0 <= self.replay_window_hours <= _LONGEST_WINDOW_H:
            problems.append(
                f"replay_window_hours = {self.replay_window_hours}: choose between 0 and {_LONGEST_WINDOW_H}"
            )
        if not set(self.prefix) <= _LEGAL or len(self.prefix) > _LONGEST_PREFIX:
            problems.append(
                f"prefix = {self.prefix!r}: use at most {_LONGEST_PREFIX} letters, digits, dots, dashes and underscores"
            )
        if problems:
            raise ValueError("\n".join(problems))

    def physical(self, name: str) -> str:
        """The name on the cluster of the topic the code calls ``name``."""
        return self.prefix + name

    def logical(self, topic: str) -> str:
        """The other way. Raises ``ValueError`` for a topic of somebody else."""
        if not topic.startswith(self.prefix):
            raise ValueError(f"topic {topic!r} does not begin with the prefix {self.prefix!r}")
        return topic[len(self.prefix) :]


_AS_IT_COMES: Final = TopicSettings()


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

    def configs(self, settings: TopicSettings = _AS_IT_COMES) -> dict[str, str]:
        """The topic's configuration as Kafka spells it, with what ``settings`` says of it."""
        window_ms = settings.replay_window_hours * HOUR_MS
        retention = -1 if self.retention_ms is None else max(self.retention_ms, window_ms)
        out = {"cleanup.policy": self.cleanup, "retention.ms": str(retention)}
        if "compact" in self.cleanup:
            out |= _COMPACTED
        if self.name in _REPLAYED and window_ms:
            # The second must not be below the first, and a tombstone is to be gone a day after it may.
            out |= {"min.compaction.lag.ms": str(window_ms), "max.compaction.lag.ms": str(window_ms + DAY_MS)}
        return out | dict(self.extra)


def _changelog(role: str, table: str, cut: Cut, key: str, what: str) -> TopicSpec:
    return TopicSpec(f"changelog-{role}-{table}", cut, "compact", None, key, what)


ITEM_TABLES: Final = ("items", "tasks")
TRAINER_TABLES: Final = ("model_state", "tasks")

TOPICS: Final[tuple[TopicSpec, ...]] = (
    TopicSpec(
        "browse", "tasks", "delete", 7 * DAY_MS, "user", "views, clicks, lists, wishlist, ratings, reviews", _INBOUND
    ),
    TopicSpec("search", "tasks", "delete", 7 * DAY_MS, "user", "searches", _INBOUND),
    TopicSpec(
        "purchase", "tasks", "delete", 7 * DAY_MS, "user", "cart, checkout, order, refund and coupon events", _INBOUND
    ),
    TopicSpec("feedback", "tasks", "delete", 7 * DAY_MS, "user", "what became of a push", _INBOUND),
    TopicSpec(
        "preferences", "tasks", "compact", None, "user", "consent, channels, quiet hours, time zone, erase", _INBOUND
    ),
    TopicSpec(
        "ingress",
        "tasks",
        "delete",
        7 * DAY_MS,
        "user",
        "records re-keyed by us: they arrived under a wrong key",
        _INBOUND,
    ),
    TopicSpec(
        "catalog",
        "one",
        "compact",
        None,
        "item",
        "title, categories, tags, brand, price, stock",
        # By the broker's clock, as a shop may stamp a row with when it changed it: compaction would not wait for that.
        _INBOUND | {"message.timestamp.type": "LogAppendTime"},
    ),
    TopicSpec("push-candidates", "tasks", "delete", 7 * DAY_MS, "user", "the product: push-notification candidates"),
    TopicSpec("decisions", "tasks", "delete", 30 * DAY_MS, "user", "a row per event and campaign: sent or why not"),
    TopicSpec("journal", "tasks", "delete", 30 * DAY_MS, "task", "the order in which a task folded"),
    TopicSpec(
        "dead-letters",
        "tasks",
        "delete",
        7 * DAY_MS,
        "as received",
        "what could not be folded, with its reason and origin",
    ),
    TopicSpec(
        "item-updates",
        "item_tasks",
        "delete",
        7 * DAY_MS,
        "item partition",
        "deltas of items, from the user tasks",
        _INBOUND,
    ),
    TopicSpec("item-index", "item_tasks", "compact", None, "item", "neighbours, counters and trends of an item"),
    TopicSpec("sessions", "tasks", "compact", None, "turn/user", "a shopper's newest few sessions"),
    TopicSpec("examples", "one", "delete", 7 * DAY_MS, "none", "labelled examples for the trainer"),
    TopicSpec(
        "model", "one", "compact", None, "block", "the trainer's parameters", {"max.message.bytes": str(2 * MIB)}
    ),
    _changelog("user", "profile", "tasks", "user", "rebuilds the profiles"),
    _changelog("user", "seen", "tasks", "user", "rebuilds the fingerprints of events seen"),
    _changelog("user", "policy", "tasks", "user", "rebuilds what was sent, consent and caps"),
    _changelog("user", "pending", "tasks", "slot", "rebuilds predictions that wait for their outcome"),
    _changelog("user", "due", "tasks", "time and user", "rebuilds whose timers are due when"),
    _changelog("user", "slates", "tasks", "user", "rebuilds pushes that wait for their responses"),
    _changelog("user", "watch", "tasks", "item and user", "rebuilds who is to be told of changes of which items"),
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
REPLICATED: Final = ("catalog", "item-index", "sessions", "model")


def changelog(role: str, table: str) -> str:
    """The logical name of a table's changelog. Raises ``KeyError`` where there is none."""
    return BY_NAME[f"changelog-{role}-{table}"].name
