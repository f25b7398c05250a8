"""Where a task's replay begins: its tables as they were then, and readers of its inputs where they were then."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

import msgspec
from aiokafka import TopicPartition

from agents.metrics import Metrics
from agents.role import TaskRow
from agents.roles.user import UserRole
from agents.task import TASKS_TABLE
from agents.topics import USER_TABLES
from agents.worker import make_user_role
from streamer.core.units import changed, of_shoppers
from streamer.replay.base import Changelogs
from streamer.replay.errors import ReplayRefused
from streamer.replay.log import Log
from streamer.replay.pinned import Pinned
from streamer.replay.refold import Refold

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from state.store import TaskStore
    from streamer.replay.plan import Plan, Span
    from streamer.settings import Settings

log = logging.getLogger(__name__)


async def begin(
    settings: Settings, plan: Plan, span: Span, consumer: AIOKafkaConsumer, store: TaskStore
) -> tuple[Span, Refold]:
    """Fill ``store``, which is empty, with what the span begins from. Gives the span to fold, and its folding.

    If the changelogs cannot give the tables as they were, it is another span, from the task's beginning. Raises
    ``ReplayRefused`` if there is none, and if the settings are not those that its tables were written with.
    """
    if span.tables:
        age_ms = plan.made_ms - span.outline.begins_ms
        changelogs = Changelogs(
            consumer, settings.topics, span.partition, begins=plan.begins, lag_kept_ms=plan.lag_kept_ms
        )
        try:
            for table in USER_TABLES:
                async for pairs, after in changelogs.read(table, span.tables.get(table, 0), age_ms=age_ms):
                    store.restore(table, pairs, after)
        except ReplayRefused as why:
            log.warning("folding from the task's beginning: %s", why)
            store.wipe()
            span = await plan.planner.from_the_beginning(
                TopicPartition(settings.topics.physical("journal"), span.partition)
            )
    return span, _refold(settings, plan, span, consumer, store)


def _refold(settings: Settings, plan: Plan, span: Span, consumer: AIOKafkaConsumer, store: TaskStore) -> Refold:
    topics, metrics = settings.topics, Metrics()
    pinned = Pinned(
        consumer,
        plan.begins,
        topics.physical,
        lambda: _role(settings, metrics),
        lag_kept_ms=plan.lag_kept_ms,
        age_ms=plan.made_ms - span.outline.begins_ms,
    )
    row = store.table(TASKS_TABLE).get(str(span.partition)) or TaskRow({})
    if told := changed(row.units, of_shoppers(settings.core)):
        raise ReplayRefused(f"task user-{span.partition}: {told}. Under another value its rows would be misread")
    positions = dict(row.positions)
    inputs = {}
    for name in UserRole.inputs:
        place = TopicPartition(topics.physical(name), span.partition)
        inputs[name] = Log(consumer, place, max(positions.get(name, 0), plan.begins[place]))
    refold = Refold(span.partition, topics, store, inputs=inputs, pinned=pinned, metrics=metrics)
    refold.context.row = msgspec.structs.replace(row, positions=positions)
    return refold


def _role(settings: Settings, metrics: Metrics) -> UserRole:
    def fail(what: str, exc: BaseException) -> NoReturn:
        raise RuntimeError(what) from exc

    return make_user_role(settings, metrics, fail)
