"""Every topic as data: what it carries, how it is cut and what is kept; and the asking of a cluster for it.

``TOPICS`` is the whole list. A new topic is one line there. Physical names are ``prefix + name``; the rest of the code
speaks in logical names (``browse``, ``changelog-user-profile``).
"""

from __future__ import annotations

import asyncio
import string
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from agents.access import refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

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


class TopicError(RuntimeError):
    """The cluster refused, or cannot be reached; the message says what to do."""


class UnreachableError(TopicError):
    """No broker answers."""


class NotLetInError(TopicError):
    """A broker answers and refuses the login, or the user lacks a permission: it would be no other the next time."""


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


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the cluster has it. ``partitions`` 0 means that it is not there."""

    spec: TopicSpec
    topic: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


async def create_topics(
    client: Mapping[str, Any],
    settings: TopicSettings,
    *,
    topics: Iterable[TopicSpec] = TOPICS,
    timeout_s: float = 30.0,
) -> list[str]:
    """Create what is missing and wait until every partition has a leader. Gives the physical names created.

    ``client`` holds aiokafka's connection arguments (``bootstrap_servers``, TLS, SASL). What exists is left as it is:
    ``verify`` says whether it fits. Raises ``TopicError``.
    """
    from aiokafka.admin import NewTopic

    wanted = {settings.physical(spec.name): spec for spec in topics}
    request = [
        NewTopic(topic, spec.partitions(settings), settings.replication, topic_configs=spec.configs(settings))
        for topic, spec in wanted.items()
    ]
    created = []
    async with _admin(client) as admin:
        for topic, code, message in (await admin.create_topics(request, timeout_ms=int(timeout_s * 1000))).topic_errors:
            if code == 0:
                created.append(topic)
            elif code != _ALREADY_EXISTS:
                raise TopicError(f"topic {topic} could not be created: {message or _error_name(code)}")
        deadline = asyncio.get_running_loop().time() + timeout_s
        while waiting := await _leaderless(admin, list(wanted)):
            if asyncio.get_running_loop().time() > deadline:
                raise TopicError(f"no leader after {timeout_s:.0f} s for {', '.join(waiting)}: are enough brokers up?")
            await asyncio.sleep(0.05)
    return created


async def describe(
    client: Mapping[str, Any], settings: TopicSettings, *, topics: Sequence[TopicSpec] = TOPICS
) -> list[TopicState]:
    """Every topic as the cluster has it, in the order of the table. Raises ``TopicError``."""
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    async with _admin(client) as admin:
        found = {t["topic"]: t["partitions"] for t in await admin.describe_topics() if not t["error_code"]}
        wanted = [settings.physical(spec.name) for spec in topics]
        await _check_hidden(admin, [topic for topic in wanted if topic not in found])
        present = [topic for topic in wanted if topic in found]
        configs: dict[str, dict[str, str]] = {}
        if present:
            for response in await admin.describe_configs(
                [ConfigResource(ConfigResourceType.TOPIC, t) for t in present]
            ):
                for resource in response.resources:
                    if resource[0] == _TOPIC_FORBIDDEN:
                        raise NotLetInError(
                            f"the user may not read the settings of {resource[3]}: allow it DescribeConfigs on every "
                            f"topic with the prefix {settings.prefix!r}"
                        )
                    configs[resource[3]] = {entry[0]: entry[1] for entry in resource[4]}
    states = []
    for spec in topics:
        topic = settings.physical(spec.name)
        parts = found.get(topic, [])
        copies = min((len(p["replicas"]) for p in parts), default=0)
        states.append(TopicState(spec, topic, len(parts), copies, configs.get(topic, {})))
    return states


async def verify(
    client: Mapping[str, Any], settings: TopicSettings, *, topics: Sequence[TopicSpec] = TOPICS
) -> list[str]:
    """What is wrong with the cluster's topics, in words with what to do; empty if nothing. Raises ``TopicError``."""
    return problems(await describe(client, settings, topics=topics), settings)


def problems(states: Sequence[TopicState], settings: TopicSettings) -> list[str]:
    """The judgement of ``verify``, apart from the asking."""
    missing = [state.topic for state in states if not state.partitions]
    present = [state for state in states if state.partitions]
    found = []
    if missing:
        shown = ", ".join(missing) if present else f"every topic with the prefix {settings.prefix!r}"
        found.append(f"missing: {shown}. Run `streamer topics create`")
    found += _miscut(present, settings)
    for state in present:
        cleanup, policy = state.spec.cleanup, state.configs.get("cleanup.policy", "")
        if set(policy.split(",")) != set(cleanup.split(",")):
            why = "old rows are lost or never cleaned" if "compact" in cleanup else "records that share a key vanish"
            found.append(f"{state.topic} has cleanup.policy={policy}: set it to {cleanup}, else {why}")
        least = int(state.spec.configs().get("max.message.bytes", 0))
        if int(state.configs.get("max.message.bytes", least)) < least:
            found.append(
                f"{state.topic} has max.message.bytes={state.configs['max.message.bytes']}: raise it to {least}"
            )
    return found


def _miscut(present: Sequence[TopicState], settings: TopicSettings) -> list[str]:
    """Partition counts that differ from the settings, or among topics that are read together."""
    found = []
    for cut, setting in (("tasks", "partitions"), ("item_tasks", "item_partitions"), ("one", "")):
        counts: dict[int, list[str]] = {}
        for state in present:
            if state.spec.cut == cut:
                counts.setdefault(state.partitions, []).append(state.topic)
        expected = getattr(settings, setting) if setting else 1
        if set(counts) <= {expected}:
            continue
        shown = "; ".join(f"{n} in {', '.join(topics)}" for n, topics in sorted(counts.items()))
        if not setting:
            found.append(f"these topics must have one partition each: {shown}. Create them anew")
        elif len(counts) == 1:
            found.append(f"the topics have {shown}, but topics.{setting} is {expected}: set it to {next(iter(counts))}")
        else:
            found.append(
                f"topics that are read together differ in their number of partitions: {shown}. Create them anew with "
                f"{expected} (topics.{setting}); a key's records would otherwise be handled by different tasks"
            )
    return found


_ALREADY_EXISTS: Final = 36
_TOPIC_FORBIDDEN: Final = 29


async def _check_hidden(admin: Any, missing: list[str]) -> None:
    """Raise ``NotLetInError`` if some topics are missing only to whoever may not see them."""
    from aiokafka.protocol.metadata import MetadataRequest

    if not missing:
        return
    # A list of all topics leaves these out. The public call by names would have a broker that creates topics when they
    # are asked for create them, cut anyhow.
    request = MetadataRequest(missing, allow_auto_topic_creation=False)
    answer = (await admin._send_request(request)).to_object()  # noqa: SLF001 - see above
    answered = sorted((topic["topic"], topic["error_code"]) for topic in answer["topics"])
    if hidden := [topic for topic, code in answered if code == _TOPIC_FORBIDDEN]:
        raise NotLetInError(
            f"the user may not see {', '.join(hidden)}: allow it Describe, DescribeConfigs, Read and Write there, and "
            "Create if `streamer topics create` is to make them"
        )


@asynccontextmanager
async def _admin(client: Mapping[str, Any]) -> AsyncIterator[Any]:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(**client)
    servers = client.get("bootstrap_servers", "localhost")
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        if refused := await refusal(client):
            raise NotLetInError(refused) from error
        if isinstance(error, KafkaError) and not error.retriable:
            raise NotLetInError(f"Kafka at {servers} refuses what it is asked: {error}") from error
        raise UnreachableError(
            f"Kafka at {servers} does not answer ({error}): is it running, and are address and security settings "
            "right? `streamer broker` starts one on this machine."
        ) from error
    finally:
        await admin.close()


async def _leaderless(admin: Any, topics: list[str]) -> list[str]:
    """The topics of which some partition has no leader yet."""
    led = {
        t["topic"]
        for t in await admin.describe_topics(topics)
        if not t["error_code"] and t["partitions"] and all(p["leader"] >= 0 for p in t["partitions"])
    }
    return [topic for topic in topics if topic not in led]


def _error_name(code: int) -> str:
    from aiokafka.errors import for_code

    return str(for_code(code).__name__)
