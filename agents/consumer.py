"""Faust's consumer, replaced where it fetches: the tasks are fed here, and Faust is given nothing.

A consumer's position can be moved behind a task's back: Faust seeks in every rebalance, and a fetch that was asked for
before one may be answered in the middle of the next. So nothing is trusted to have sought rightly. Each fetch says
where the consumer stood before it, each task knows where it goes on, and when the two differ the records are dropped
and the consumer is sent back. Whoever moves it, no task can skip a record or fold one twice.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiokafka
from aiokafka.errors import IllegalStateError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message

from agents.clients import paced
from agents.header_names import take_any
from agents.transaction import REQUEST_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping

    from agents.runtime import Runtime
    from agents.settings import RuntimeSettings
    from streamer.core.record import Record

log = logging.getLogger(__name__)

#: Records of one partition handed over at once. Each partition is asked in turn, or a long backlog on one topic would
#: starve the others, which its task then waits for.
FETCH_RECORDS = 500
FETCH_BYTES = 4 << 20
PORTION = 16
#: What a broker hands over in one answer, as sent.
FETCH_AHEAD_BYTES = 16 << 20

#: A member learns of a rebalance by its next heartbeat, and until then whoever leaves or joins is waited for.
HEARTBEAT_MS = 300

#: Between looks that bring little there is a pause: until the next commit is due, and within these bounds.
LEAST_PAUSE_S = 0.01
MOST_PAUSE_S = 0.05

#: The client asks for more only when it has handed over what it has, which may be older than the pause. For a commit
#: that is due, the answer is waited for so long.
NEWEST_S = 0.01

#: Faust's services log each of their steps under the class's logger; keep them under Faust's name, and so as quiet.
FAUST_LOG = logging.getLogger("faust.streamer")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one partition gave.

    The consumer stood at ``start`` and stands at ``position``: between them lie ``records`` and what a
    ``read_committed`` reader passes over. ``end`` is how far the partition is known to reach, -1 if not yet.
    """

    start: int
    position: int
    end: int
    records: list[Record]


def records_of(fetched: Iterable[Mapping[TP, Fetched]]) -> int:
    """How many records those are."""
    return sum(len(each.records) for one in fetched for each in one.values())


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to the broker."""

    logger = FAUST_LOG

    def _create_worker_consumer(self, _transport: Any) -> aiokafka.AIOKafkaConsumer:
        # Replaced for read_committed, for fetch sizes that let no partition starve, and for a fetch wait that does not
        # hold back the other partitions of the node (Faust's is 1.5 s); Faust's assignor is kept in any case,
        # as its round robin would lose co-partitioning.
        take_any()
        app = self.app
        settings: RuntimeSettings = app.runtime.settings
        self._assignor = app.assignor
        consumer = aiokafka.AIOKafkaConsumer(
            **app.kafka.client_kwargs(),
            group_id=app.conf.id,
            group_instance_id=app.conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=None,
            max_poll_interval_ms=settings.session_timeout_s * 30_000,
            max_partition_fetch_bytes=REQUEST_BYTES,
            fetch_max_bytes=FETCH_AHEAD_BYTES,
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
            session_timeout_ms=settings.session_timeout_s * 1000,
            rebalance_timeout_ms=settings.session_timeout_s * 2000,
            heartbeat_interval_ms=HEARTBEAT_MS,
            request_timeout_ms=max(40_000, settings.session_timeout_s * 2000),
        )
        paced(consumer._client)  # noqa: SLF001 - a consumer does not show its client
        return consumer

    async def leave(self) -> None:
        """Have the consumer say that it leaves for good when it is closed, which a static member otherwise does not."""
        await self.call_thread(self._leave)

    async def _leave(self) -> None:
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - aiokafka has no other way to leave
        coordinator._group_instance_id = None  # noqa: SLF001

    async def fetch(self, partitions: set[TP], wait_s: float, *, newest: bool) -> list[dict[TP, Fetched]]:
        """What ``partitions`` have, and then, if that is nothing or the ``newest`` is asked for, what they have next.

        The latter is waited for, ``wait_s`` at most.
        """
        fetched: list[dict[TP, Fetched]] = await self.call_thread(self._fetch, partitions, wait_s, newest=newest)
        return fetched

    async def _fetch(self, partitions: set[TP], wait_s: float, *, newest: bool) -> list[dict[TP, Fetched]]:
        if not self.consumer.flow_active:
            return []
        fetcher = self._ensure_consumer()._fetcher  # noqa: SLF001 - getmany() waits and takes in one step: see _take
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001 - as getmany() does
            fetched = [await self._take(partitions)]
            count = records_of(fetched)
            if not count or (newest and count < FETCH_RECORDS):
                waiter = fetcher._create_fetch_waiter()  # noqa: SLF001
                done, _ = await asyncio.wait([waiter], timeout=wait_s)
                if done:
                    waiter.result()  # raises what reading is not allowed
                else:
                    waiter.cancel()
                fetched.append(await self._take(partitions))
        return fetched

    async def _take(self, partitions: set[TP]) -> dict[TP, Fetched]:
        """What has arrived of each partition. Nothing is waited for, so that both positions belong to its records."""
        consumer = self._ensure_consumer()
        state_of = consumer._subscription  # noqa: SLF001 - position() would wait for a fetch's answer
        subscription = state_of.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None or state_of.reassignment_in_progress:
            return {}
        fetched, record_of = {}, self.app.runtime.record_of
        for tp in partitions & assignment.tps:
            state = assignment.state_value(tp)
            if state is None or not state.has_valid_position:
                continue
            start, size = state.position, 0
            records: list[Record] = []
            # A few at a time: a response is bounded as it is sent, and what was compressed in it may be any size. The
            # client's own records are let go at once, so that there are never as many of both.
            while len(records) < FETCH_RECORDS and size < FETCH_BYTES:
                more = await consumer._fetcher.fetched_records({tp}, timeout=0, max_records=PORTION)  # noqa: SLF001
                if not more:
                    break
                records += map(record_of, more[tp])
                size += sum(len(record.value or b"") for record in more[tp])
            # last stable offset -1: no fetch has answered yet, so nothing is known
            end = -1 if state.lso is None else state.lso
            fetched[tp] = Fetched(start, state.position, end, records)
        return fetched

    async def send_back(self, positions: Mapping[TP, int]) -> dict[TP, int]:
        """Have the partitions read from ``positions`` on. Returns where those begin that begin only later."""
        begins: dict[TP, int] = await self.call_thread(self._send_back, positions)
        return begins

    async def _send_back(self, positions: Mapping[TP, int]) -> dict[TP, int]:
        consumer = self._ensure_consumer()
        begins = await consumer.beginning_offsets(list(positions))
        for tp, offset in positions.items():
            consumer.seek(tp, max(offset, begins[tp]))
        return {tp: begins[tp] for tp, offset in positions.items() if begins[tp] > offset}


class Consumer(driver.Consumer):
    """Fetches for tasks with room and feeds them; yields nothing to Faust."""

    logger = FAUST_LOG

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 - Faust's signature
        """One fetch; the tasks get the records, so this yields none."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        runtime: Runtime = self.app.runtime
        partitions = {TP(*tp) for tp in runtime.fetchable()}
        records = 0
        if partitions:
            newest = runtime.hurries
            fetched = await self._thread.fetch(partitions, NEWEST_S if newest else min(timeout, 0.1), newest=newest)
            records = records_of(fetched)
            for each in fetched:
                if astray := runtime.feed(each):
                    await self._send_back({TP(*tp): offset for tp, offset in astray.items()})
        runtime.fetched()
        if records < FETCH_RECORDS:
            # No task has room, or the stream is live: fetching whenever a record is there would be hundreds a second.
            await asyncio.sleep(LEAST_PAUSE_S)
            await asyncio.sleep(min(runtime.looks_in(), MOST_PAUSE_S - LEAST_PAUSE_S))
        none: tuple[tuple[TP, Message], ...] = ()
        for message in none:
            yield message

    async def _send_back(self, positions: Mapping[TP, int]) -> None:
        try:
            begins = await self._thread.send_back(positions)
        except (IllegalStateError, KafkaError) as error:
            # Taken away meanwhile, or nobody answers: the next fetch tells whether it still has to be done.
            log.info("the consumer could not be sent back yet: %s", error)
            return
        runtime: Runtime = self.app.runtime
        for tp, begin in begins.items():
            runtime.lost_before(tp.topic, tp.partition, begin)

    async def leave(self) -> None:
        """Leave the group when closed; without a consumer there is nothing to leave."""
        if self.app.conf.consumer_group_instance_id:
            await self._thread.leave()

    async def perform_seek(self) -> None:
        """To the committed offsets, then each open task to its own: a task goes on from its own row."""
        await super().perform_seek()
        owned: Iterable[TP] = self.assignment()
        own = {TP(*tp): offset for tp, offset in self.app.runtime.positions().items() if TP(*tp) in owned}
        if own:
            await self.seek_wait(own)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust sees no events here, and the runtime watches progress itself."""


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = Consumer
