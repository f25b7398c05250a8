"""Publishing to a real broker, and the timestamps it gives."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.partitioner import DefaultPartitioner

from agents.clients import read_topic
from agents.topic_admin import create_topics
from agents.topics import TOPICS, TopicSettings
from streamer.core.events import EVENT_TYPES, Event
from streamer.core.parse import Limits, parse
from streamer.core.record import Record
from streamer.publish import PublishError, Stamps, publish, publish_catalog
from streamer.readers.bundled import bundled
from streamer.readers.registry import open_events
from streamer.simulate import with_searches

INBOUND = ("browse", "search", "purchase", "catalog")
START_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def events():
    """The bundled sample with searches, times of 2019."""
    return list(with_searches(open_events(bundled("rees46").events), seed=7))


@pytest.fixture
async def topics(broker, prefix):
    """The inbound topics under a prefix of this test."""
    wanted = [spec for spec in TOPICS if spec.name in INBOUND]
    await create_topics(broker.client, TopicSettings(prefix=prefix, partitions=3), topics=wanted)
    return prefix


async def consume(client, topics):
    """Everything in the topics, as records by logical topic."""
    return [
        Record(name, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
        for name in INBOUND
        for r in await read_topic(client, topics + name)
    ]


def read(record: Record) -> Event:
    """The record's event, as a worker would have it."""
    event = parse(record, Limits())
    assert isinstance(event, Event), event
    return event


@pytest.mark.parametrize("rate", [0.0, 4_000.0])
async def test_every_event_arrives_once_where_a_stock_producer_would_have_put_it(broker, topics, events, rate):
    told = []
    before_ms = int(time.time() * 1000)
    report = await publish(
        events, broker.client, prefix=topics, rate=rate, limit=6_000, progress=lambda *seen: told.append(seen)
    )
    after_ms = int(time.time() * 1000)
    records = await consume(broker.client, topics)

    assert report["published"] == len(records) == 6_000
    assert report["by_topic"] == dict(Counter(record.topic for record in records))
    parsed = [(record, read(record)) for record in records]
    assert {event.id: event.time for _, event in parsed} == {
        event.id: event.time + report["shift_ms"] for event in events[:6_000]
    }
    for record, event in parsed:
        assert record.topic == EVENT_TYPES[event.type].topic
        assert record.key == event.user.encode()
        assert record.partition == DefaultPartitioner()(record.key, [0, 1, 2], [0, 1, 2])
        assert before_ms <= int(event.produced_at) <= after_ms
        assert event.time <= min(after_ms, record.timestamp, int(event.produced_at))
    assert before_ms <= max(event.time for _, event in parsed) <= after_ms
    assert told[-1][:2] == (6_000, 6_000)
    assert all(a[0] < b[0] or a is told[-2] for a, b in pairwise(told))


async def test_merging_by_timestamp_gives_the_order_of_the_log(broker, topics, events):
    await publish(events, broker.client, prefix=topics, limit=5_000)
    records = sorted(await consume(broker.client, topics), key=lambda record: record.timestamp)
    order = defaultdict(list)
    for record in records:
        order[record.key.decode()].append(read(record).time)
    assert all(times == sorted(times) for times in order.values())


async def test_produced_at_follows_the_schedule_and_not_the_sending(broker, topics, events):
    report = await publish(events, broker.client, prefix=topics, rate=1_000, limit=500)
    due = sorted(int(dict(record.headers)["produced_at"]) for record in await consume(broker.client, topics))
    assert all(abs((b - a) - 1) <= 1 for a, b in pairwise(due))
    assert due[-1] - due[0] == pytest.approx(499, abs=2)
    assert report["seconds"] > 0.49


async def test_times_can_be_kept(broker, topics, events):
    report = await publish(events, broker.client, prefix=topics, limit=10, keep_times=True)
    records = await consume(broker.client, topics)
    assert report["shift_ms"] == 0
    assert sorted(read(record).time for record in records) == [event.time for event in events[:10]]


async def test_a_reader_and_an_iterator_are_published_like_a_list(broker, topics):
    reader = open_events(bundled("rees46").events)
    first = await publish(reader, broker.client, prefix=topics)
    second = await publish(iter(reader), broker.client, prefix=topics, limit=100)
    third = await publish(reader, broker.client, prefix=topics, limit=100)
    assert first["published"] == reader.count_hint
    assert (second["published"], third["published"]) == (100, 100)
    assert second["by_topic"] == third["by_topic"]
    assert await publish([], broker.client, prefix=topics) | {"shift_ms": 0, "seconds": 0} == {
        "published": 0,
        "by_topic": {},
        "seconds": 0,
        "events_per_second": 0.0,
        "late": 0,
        "latest_ms": 0.0,
        "shift_ms": 0,
    }


async def test_the_catalog_is_keyed_by_item(broker, topics):
    assert await publish_catalog(bundled("rees46").catalog, broker.client, prefix=topics) == 6_493
    records = await consume(broker.client, topics)
    assert {record.topic for record in records} == {"catalog"}
    assert len({record.key for record in records}) == 6_493
    assert all(b'"id":"%s"' % record.key in record.value for record in records)


async def test_a_cancelled_publisher_sends_no_more_and_leaves_whole_events(broker, topics, events):
    begun = asyncio.Event()
    task = asyncio.create_task(
        publish(events, broker.client, prefix=topics, rate=2_000, progress=lambda *_: begun.set())
    )
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    records = await consume(broker.client, topics)
    assert 0 < len(records) < len(events)
    order = {event.id: number for number, event in enumerate(events)}
    assert sorted(order[read(record).id] for record in records) == list(range(len(records)))


async def test_a_refused_record_is_an_error_with_its_cause(broker, topics, events):
    big = Event("u", "1", "s", "search", START_MS, 1, query="x" * 5_000_000)
    with pytest.raises(PublishError, match="TooLarge"):
        await publish([events[0], big], broker.client, prefix=topics)
    with pytest.raises(PublishError, match="TooLarge"):
        await publish([events[0], big], broker.client, prefix=topics, rate=1000)


async def test_a_missing_topic_is_an_error_that_says_what_to_do(broker, prefix, events):
    with pytest.raises(PublishError, match=f"no topic {prefix}search: run `streamer topics create`"):
        await publish(events, broker.client | {"request_timeout_ms": 500}, prefix=prefix)


async def test_no_broker_is_said_at_once(events):
    with pytest.raises(KafkaConnectionError):
        await publish(events, {"bootstrap_servers": "127.0.0.1:1"}, limit=1)


@pytest.mark.parametrize("rate", [0.0, 100.0, 999.0, 1_000.0, 2_000.0, 50_000.0])
def test_timestamps_rise_by_a_millisecond_or_more_and_end_with_the_schedule(rate):
    stamps = Stamps(START_MS, 3_000, rate)
    given = [stamps.of(number, 0) for number in range(3_000)]
    assert all(a < b for a, b in pairwise(given))
    assert given[-1] == pytest.approx(START_MS + (2_999_000 / rate if rate else 0), abs=2)
    if 0 < rate <= 1_000:
        assert given[0] == START_MS


def test_a_timestamp_is_not_before_the_time_of_its_event_nor_after_the_start_for_one_to_come():
    stamps = Stamps(START_MS, 3_000, 0.0)
    assert stamps.of(0, START_MS - 5) == START_MS - 5
    assert stamps.of(0, START_MS + 600_000) == START_MS
    assert stamps.of(0, 0) == START_MS - 2_999
