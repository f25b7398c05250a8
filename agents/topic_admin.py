"""The topics of the table on a cluster: made, described, and compared with what they ought to be, in words."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from agents.access import refusal
from agents.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from agents.topics import TopicSettings, TopicSpec

_ALREADY_EXISTS: Final = 36
_TOPIC_FORBIDDEN: Final = 29


class TopicError(RuntimeError):
    """The cluster refused, or cannot be reached; the message says what to do."""


class UnreachableError(TopicError):
    """No broker answers."""


class NotLetInError(TopicError):
    """A broker answers and refuses the login, or the user lacks a permission: it would be no other the next time."""


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
