"""The live tables as they were when a shadow ended, also while the workers go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aiokafka import TopicPartition

from agents.clients import partitions_of, reader
from agents.role import TaskRow
from agents.topic_admin import describe
from agents.topics import BY_NAME, USER_TABLES, changelog
from state.codecs import StructCodec
from streamer.replay.base import Changelogs
from streamer.replay.compare import Task, Window
from streamer.replay.errors import ReplayRefused
from streamer.replay.journal import rows
from streamer.replay.log import Log
from streamer.replay.plan import FOREVER_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import AIOKafkaConsumer

    from streamer.replay.compare import Rows
    from streamer.replay.journal import Row
    from streamer.settings import Settings

_TASK: Final = StructCodec(TaskRow)


async def live(settings: Settings, windows: Sequence[Window]) -> list[Task]:
    """Every task's tables as of its shadow's ``window.journal_next``; its candidates are not read here."""
    names = [changelog("user", table) for table in USER_TABLES]
    client, topics = settings.kafka.client_kwargs(), settings.topics
    states = await describe(client, topics, topics=[BY_NAME[name] for name in names])
    kept = {state.spec.name: int(state.configs.get("min.compaction.lag.ms", 0)) for state in states}
    tasks = []
    async with reader(client) as consumer:
        partitions = await partitions_of(consumer, [topics.physical(name) for name in [*names, "journal"]])
        begins = await consumer.beginning_offsets(partitions)
        for partition, window in enumerate(windows):
            changelogs = Changelogs(consumer, topics, partition, begins=begins, lag_kept_ms=kept)
            try:
                tasks.append(await _task(consumer, settings, changelogs, partition, window.journal_next))
            except ReplayRefused as why:
                tasks.append(Task(Window({}, window.end), {}, str(why)))
    return tasks


async def _task(
    consumer: AIOKafkaConsumer, settings: Settings, changelogs: Changelogs, partition: int, journal_next: int
) -> Task:
    journal = TopicPartition(settings.topics.physical("journal"), partition)
    while True:
        if (later := await _first(consumer, journal, journal_next)) is not None:
            if not later.commit.tables:
                raise ReplayRefused("the live run went on, and its journal does not say how its tables were")
            ends, age_ms = later.commit.tables, int(time.time() * 1000) - later.timestamp
        else:
            places = {name: settings.topics.physical(changelog("user", name)) for name in USER_TABLES}
            found = await consumer.end_offsets([TopicPartition(topic, partition) for topic in places.values()])
            ends, age_ms = {name: found[TopicPartition(topic, partition)] for name, topic in places.items()}, 0
        tables: dict[str, Rows] = {}
        for name in USER_TABLES:
            newest: dict[bytes, bytes | None] = {}
            async for pairs, _ in changelogs.read(name, ends.get(name, 0), age_ms=age_ms):
                newest.update(pairs)
            tables[name] = {key: row for key, row in newest.items() if row is not None}
        # The ends of several topics are of one moment only if no commit came in between.
        if later is not None or await _first(consumer, journal, journal_next) is None:
            row = tables.pop("tasks").get(str(partition).encode())
            return Task(Window({}, {} if row is None else _TASK.decode(row).window), tables)


async def _first(consumer: AIOKafkaConsumer, journal: TopicPartition, begin: int) -> Row | None:
    """The first row of a journal from an offset on, ``None`` if there is none yet."""
    end = (await consumer.end_offsets([journal]))[journal]
    async for row in rows(Log(consumer, journal, begin), end, FOREVER_MS):
        return row
    return None
