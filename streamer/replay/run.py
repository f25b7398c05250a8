"""``streamer replay``: tables and candidates of a stretch of time, made again from the topics, beside the live ones."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka import TopicPartition

from agents.clients import reader
from agents.header_names import take_any
from agents.outbox import Outbox
from agents.roles.user import UserRole
from agents.transaction import ExactlyOnce
from state.rocks import RocksMemory, open_store
from state.store import TaskIdentity, digest_rows
from streamer.replay.begin import begin
from streamer.replay.compare import Window
from streamer.replay.errors import ReplayRefused
from streamer.replay.journal import rows
from streamer.replay.log import Log
from streamer.replay.plan import FOREVER_MS, make_plan
from streamer.replay.target import Live, ShadowTopic, shadow_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from aiokafka import AIOKafkaConsumer

    from state.store import TaskStore
    from streamer.replay.plan import Plan, Span
    from streamer.replay.refold import Refold
    from streamer.replay.target import Target
    from streamer.settings import Settings

TABLES: Final = ("due", "pending", "policy", "profile", "seen", "slates", "watch")

#: Records folded between two transactions: some tenths of a second of work.
RECORDS_A_COMMIT: Final = 4_000


@dataclass(frozen=True, slots=True)
class Request:
    """What to replay. Times are when the live system wrote the commit, milliseconds; ``into`` names the shadow.

    ``users`` limits what is sent, to all if empty. ``live``: to ``push-candidates`` instead of the shadow's topic.
    ``replace`` deletes a shadow of that name first.
    """

    into: str = "shadow"
    from_ms: int = 0
    to_ms: int = FOREVER_MS
    users: frozenset[str] = frozenset()
    live: bool = False
    replace: bool = False


@dataclass(slots=True)
class Report:
    """What a replay did.

    ``candidates`` were made in the time asked for; ``sent`` of them are on ``topic``, ``expired`` and ``known`` were
    held back by ``live``: they hold no more, or are there already. ``others``: of users not asked for.
    ``digests``: by table, over all tasks. ``parted``: where it first gave something else than the journal says.
    """

    topic: str
    directory: str
    records: int = 0
    commits: int = 0
    replica_rows: int = 0
    candidates: int = 0
    sent: int = 0
    expired: int = 0
    known: int = 0
    others: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    parted: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


async def replay(settings: Settings, request: Request, tell: Callable[[int, int], None]) -> Report:
    """Fold the journal from just before ``from_ms`` to ``to_ms``, send what was decided from ``from_ms`` on.

    ``tell(records folded, records in all)`` is called now and then. Raises ``ReplayRefused`` and ``TopicError``;
    nothing is written before the plan is known to hold, and what is missing after all ends it loudly.
    """
    take_any()
    started = time.monotonic()
    client = settings.kafka.client_kwargs()
    async with reader(client) as consumer:
        plan = await make_plan(consumer, settings, from_ms=request.from_ms, to_ms=request.to_ms)
        target: Target
        if request.live:
            target = await Live.open(settings)
        else:
            target = await ShadowTopic.open(settings, request.into, replace=request.replace)
        directory = shadow_path(settings, request.into)
        if request.replace:
            shutil.rmtree(directory, ignore_errors=True)
        elif directory.exists():
            raise ReplayRefused(f"{directory} holds a shadow of that name: --replace deletes it, --into names another")
        report = Report(topic=target.topic, directory=str(directory))
        run = _Run(settings, request, plan, consumer, target, report)
        stores: list[TaskStore] = []
        try:
            memory = RocksMemory(settings.state)
            for planned in plan.spans:
                stores.append(_open(settings, directory, planned.partition, memory))
                span, refold = await begin(settings, plan, planned, consumer, stores[-1])
                await _Task(run, span, refold).run(tell)
            report.digests = digests(stores)
        finally:
            for store in stores:
                store.close()
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _open(settings: Settings, directory: Path, partition: int, memory: RocksMemory) -> TaskStore:
    path = directory / str(partition)
    path.parent.mkdir(parents=True, exist_ok=True)
    identity = TaskIdentity("user", partition, settings.topics.partitions, settings.topics.prefix)
    return open_store(path, UserRole.tables, identity, settings.state, memory)


def digests(stores: list[TaskStore]) -> dict[str, str]:
    """Of each table, over the committed rows of all tasks in order of number."""
    found = {}
    for table in TABLES:
        whole = blake2b(digest_size=16)
        for store in stores:
            whole.update(digest_rows(row for row in store.committed_rows() if row[0] == table).encode())
        found[table] = whole.hexdigest()
    return found


@dataclass(frozen=True, slots=True)
class _Run:
    """What the tasks of one replay share."""

    settings: Settings
    request: Request
    plan: Plan
    consumer: AIOKafkaConsumer
    target: Target
    report: Report


class _Task:
    """The replay of one task."""

    def __init__(self, run: _Run, span: Span, refold: Refold) -> None:
        settings, request = run.settings, run.request
        self._settings, self._request, self._plan, self._span = settings, request, run.plan, span
        self._consumer, self._target, self._report = run.consumer, run.target, run.report
        self._refold = refold
        self._begin: dict[str, int] | None = None
        self._producer = ExactlyOnce(
            settings.kafka.client_kwargs(),
            transactional_id=f"{settings.topics.prefix}replay-{request.into}-{span.partition}",
            group="",
            timeout_ms=settings.runtime.transaction_timeout_ms,
            compression=settings.runtime.compression,
        )

    async def run(self, tell: Callable[[int, int], None]) -> None:
        """Fold all of it."""
        await self._producer.start()
        try:
            await self._run(tell)
        finally:
            await self._producer.close()

    async def _run(self, tell: Callable[[int, int], None]) -> None:
        refold, span, report, request = self._refold, self._span, self._report, self._request
        place = TopicPartition(self._settings.topics.physical("journal"), span.partition)
        done, settled, next_row = report.records, 0, span.begin
        outbox = Outbox()
        async for row in rows(Log(self._consumer, place, span.begin), span.end, request.to_ms):
            if row.timestamp >= request.from_ms and self._begin is None:
                self._begin = refold.context.row.window
            candidates = await refold.fold(row)
            next_row = row.offset + 1
            report.commits += 1
            if request.live and refold.parted.first:
                raise ReplayRefused(f"no more is sent, as the replay parted from the journal: {refold.parted.first}")
            if row.timestamp >= request.from_ms:
                for key, value, headers, _ in candidates:
                    self._stage(outbox, key, value, headers)
            if refold.records - settled >= RECORDS_A_COMMIT:
                outbox, settled = await self._settle(outbox, next_row), refold.records
                report.records = done + refold.records
                tell(report.records, self._plan.records)
        await self._settle(outbox, next_row)
        report.records = done + refold.records
        report.replica_rows += refold.pinned.rows
        if refold.parted.first:
            report.parted.append(f"{refold.parted.first}, first of {refold.parted.commits} commits")
        tell(report.records, self._plan.records)

    def _stage(self, outbox: Outbox, key: bytes | None, value: bytes | None, headers: Any) -> None:
        assert key is not None
        assert value is not None
        report, request = self._report, self._request
        report.candidates += 1
        if request.users and key.decode() not in request.users:
            report.others += 1
            return
        why = self._target.holds_back(value)
        if why == "expired":
            report.expired += 1
        elif why == "known":
            report.known += 1
        else:
            report.sent += 1
            outbox.add(self._target.topic, self._span.partition, key, value, headers)

    async def _settle(self, outbox: Outbox, next_row: int) -> Outbox:
        if len(outbox):
            await self._producer.commit(outbox, {})
        at = self._refold.context.row.window
        window = Window(at if self._begin is None else self._begin, at, sorted(self._request.users), next_row)
        self._refold.settle({"window": msgspec.json.encode(window)})
        return Outbox()
