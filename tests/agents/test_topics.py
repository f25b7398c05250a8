"""The table of topics, and its meeting with a real cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer

from agents.topic_admin import TopicError, TopicState, create_topics, describe, problems, verify
from agents.topics import BY_NAME, ITEM_INPUTS, REPLICATED, TOPICS, TRAINER_INPUTS, USER_INPUTS, TopicSettings
from streamer.broker import free_port
from streamer.core.events import EVENT_TYPES

if TYPE_CHECKING:
    from tests.conftest import Broker

SETTINGS = TopicSettings(prefix="shop.", partitions=3, item_partitions=2)


def as_created(settings: TopicSettings) -> list[TopicState]:
    return [TopicState(t, settings.physical(t.name), t.partitions(settings), 1, t.configs()) for t in TOPICS]


def altered(name: str, **changes: Any) -> list[TopicState]:
    return [replace(state, **changes) if state.spec.name == name else state for state in as_created(SETTINGS)]


def test_names_are_unique():
    assert len(BY_NAME) == len(TOPICS)


def test_every_event_type_travels_on_a_topic_the_user_task_reads():
    assert {event.topic for event in EVENT_TYPES.values()} <= set(USER_INPUTS)


@pytest.mark.parametrize(
    ("inputs", "cut"), [(USER_INPUTS, "tasks"), (ITEM_INPUTS, "item_tasks"), (TRAINER_INPUTS, "one")]
)
def test_the_inputs_of_a_role_are_cut_alike(inputs, cut):
    assert {BY_NAME[name].cut for name in inputs} == {cut}


def test_what_is_read_whole_or_rebuilds_a_table_is_compacted_and_never_expires():
    kept = [*REPLICATED, *(t.name for t in TOPICS if t.name.startswith("changelog-"))]
    assert {(BY_NAME[n].cleanup, BY_NAME[n].configs()["retention.ms"]) for n in kept} == {("compact", "-1")}


def test_topics_as_created_have_no_problems():
    assert problems(as_created(SETTINGS), SETTINGS) == []


def test_a_missing_topic_is_named():
    (problem,) = problems(altered("search", partitions=0), SETTINGS)
    assert "shop.search" in problem
    assert "topics create" in problem


def test_a_cluster_without_any_topic_is_one_problem():
    (problem,) = problems([replace(s, partitions=0) for s in as_created(SETTINGS)], SETTINGS)
    assert "every topic" in problem


def test_unequal_partition_counts_of_topics_read_together_are_a_problem():
    (problem,) = problems(altered("purchase", partitions=5), SETTINGS)
    assert "5 in shop.purchase" in problem
    assert "read together" in problem


def test_partition_counts_that_agree_with_each_other_but_not_with_the_settings_name_the_setting():
    (problem,) = problems(as_created(SETTINGS), replace(SETTINGS, item_partitions=8))
    assert "set it to 2" in problem
    assert "topics.item_partitions is 8" in problem


def test_a_topic_of_one_partition_must_not_have_more():
    (problem,) = problems(altered("examples", partitions=4), SETTINGS)
    assert "4 in shop.examples" in problem


@pytest.mark.parametrize("name", ["browse", "changelog-user-profile"])
def test_a_wrong_cleanup_policy_is_a_problem(name):
    wrong = BY_NAME[name].configs() | {"cleanup.policy": "compact,delete"}
    (problem,) = problems(altered(name, configs=wrong), SETTINGS)
    assert f"shop.{name}" in problem
    assert f"set it to {BY_NAME[name].cleanup}" in problem


def test_the_order_of_two_cleanup_policies_does_not_matter():
    both = replace(BY_NAME["sessions"], cleanup="compact,delete")
    turned = replace(TopicState(both, "shop.sessions", 3, 1, both.configs() | {"cleanup.policy": "delete,compact"}))
    assert problems([turned if s.spec.name == "sessions" else s for s in as_created(SETTINGS)], SETTINGS) == []


def test_an_inbound_topic_that_cannot_hold_two_megabytes_is_a_problem():
    (problem,) = problems(
        altered("browse", configs=BY_NAME["browse"].configs() | {"max.message.bytes": "1048588"}), SETTINGS
    )
    assert "max.message.bytes" in problem


@pytest.mark.parametrize(
    "wrong",
    [{"partitions": 0}, {"replication": -1}, {"prefix": "a b"}, {"prefix": "x" * 200}, {"replay_window_hours": 721}],
)
def test_settings_kafka_would_refuse_are_refused_at_once(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TopicSettings(**wrong)


def test_physical_and_logical_names_are_each_others_inverse():
    assert SETTINGS.logical(SETTINGS.physical("browse")) == "browse"
    with pytest.raises(ValueError, match="prefix"):
        SETTINGS.logical("other.browse")


async def test_created_topics_verify_and_creating_them_again_changes_nothing(broker: Broker, prefix: str):
    settings = TopicSettings(prefix=prefix, partitions=3, item_partitions=2)
    assert await verify(broker.client, settings) != []
    assert sorted(await create_topics(broker.client, settings)) == sorted(settings.physical(t.name) for t in TOPICS)
    assert await verify(broker.client, settings) == []
    assert await create_topics(broker.client, settings) == []


async def test_the_cluster_says_back_what_the_table_says(broker: Broker, prefix: str):
    settings = TopicSettings(prefix=prefix, partitions=2, item_partitions=1)
    await create_topics(broker.client, settings)
    for state in await describe(broker.client, settings):
        assert state.partitions == state.spec.partitions(settings)
        assert {name: state.configs[name] for name in state.spec.configs()} == state.spec.configs()


async def test_a_record_of_two_megabytes_arrives_on_an_inbound_topic(broker: Broker, prefix: str):
    settings = TopicSettings(prefix=prefix, partitions=1)
    await create_topics(broker.client, settings, topics=[BY_NAME["browse"]])
    async with AIOKafkaProducer(**broker.client, max_request_size=4 << 20) as producer:
        sent = await producer.send_and_wait(settings.physical("browse"), b"x" * (2 << 20), key=b"u")
    assert sent.offset == 0


async def test_a_cluster_that_does_not_answer_is_told_with_what_to_do():
    with pytest.raises(TopicError, match="streamer broker"):
        await verify({"bootstrap_servers": f"127.0.0.1:{free_port()}"}, TopicSettings())


def test_what_a_replay_reads_is_kept_whole_for_its_window():
    """A tombstone goes a day after it may; what is deleted by age stays for the window at least."""
    day = replace(SETTINGS, replay_window_hours=24)
    for name in ("preferences", "catalog", "item-index", "model", "changelog-user-profile", "changelog-user-tasks"):
        configs = BY_NAME[name].configs(day)
        assert int(configs["min.compaction.lag.ms"]) == 24 * 3_600_000
        assert int(configs["max.compaction.lag.ms"]) == 48 * 3_600_000
        assert "min.compaction.lag.ms" not in BY_NAME[name].configs(replace(SETTINGS, replay_window_hours=0))
    assert "min.compaction.lag.ms" not in BY_NAME["changelog-item-items"].configs(day)
    month = replace(SETTINGS, replay_window_hours=720)
    for name in ("journal", "item-updates", "examples", *(n for n in USER_INPUTS if BY_NAME[n].cleanup == "delete")):
        assert int(BY_NAME[name].configs(month)["retention.ms"]) == 720 * 3_600_000
        assert int(BY_NAME[name].configs(day)["retention.ms"]) >= 7 * 24 * 3_600_000
