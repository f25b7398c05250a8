"""Faust wiring: the one place that knows Faust's insides.

Faust gives group membership, assignment, rebalancing and the agent; the tasks own buffers, order, tables and
commits. Each override below says what it replaces and why. Written against faust-streaming 0.15.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import aiokafka
import faust
import faust.app
from faust.tables.manager import TableManager
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message

from agents.header_names import take_any
from agents.transaction import REQUEST_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agents.runtime import Runtime
    from agents.settings import KafkaSettings, RuntimeSettings
    from agents.task import Batch

#: Records by partition, and (position, known end) by partition.
Fetched = tuple[dict[Any, Any], dict[Any, tuple[int, int]]]

#: Records of one partition handed over at once. Each partition is asked in turn, or a long backlog on one topic would
#: starve the others, which its task then waits for.
FETCH_RECORDS = 500

#: A member learns of a rebalance by its next heartbeat, and until then whoever leaves or joins is waited for.
HEARTBEAT_MS = 300

#: Pause between fetches that bring little.
FETCH_PAUSE_S = 0.01

#: Faust's services log each of their steps under the class's logger; keep them under Faust's name, and so as quiet.
FAUST_LOG = logging.getLogger("faust.streamer")


class Passthrough(faust.Schema):
    """Hands a micro-batch to the agent as it is: there is nothing left to decode."""

    def loads_key(self, _app: Any, message: Message, **_: Any) -> Any:
        """The key, untouched."""
        return message.key

    def loads_value(self, _app: Any, message: Message, **_: Any) -> Any:
        """The batch, untouched."""
        return message.value


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
        return aiokafka.AIOKafkaConsumer(
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
            fetch_max_bytes=16 << 20,
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
            session_timeout_ms=settings.session_timeout_s * 1000,
            rebalance_timeout_ms=settings.session_timeout_s * 2000,
            heartbeat_interval_ms=HEARTBEAT_MS,
            request_timeout_ms=max(40_000, settings.session_timeout_s * 2000),
        )

    async def leave(self) -> None:
        """Have the consumer say that it leaves for good when it is closed, which a static member otherwise does not."""
        await self.call_thread(self._leave)

    async def _leave(self) -> None:
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001 - aiokafka has no other way to leave
        coordinator._group_instance_id = None  # noqa: SLF001

    async def fetch(self, partitions: set[TP], wait_s: float) -> Fetched:
        """Records of ``partitions``, and how far each has been read of what is known to be there."""
        fetched: Fetched = await self.call_thread(self._fetch, partitions, wait_s)
        return fetched

    async def _fetch(self, partitions: set[TP], wait_s: float) -> Fetched:
        if not self.consumer.flow_active:
            return {}, {}
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher  # noqa: SLF001 - getmany() does not take a partition a rebalance is taking away
        with fetcher._subscriptions.fetch_context():  # noqa: SLF001 - as getmany() does
            records: dict[Any, Any] = {}
            for tp in partitions:
                records |= await fetcher.fetched_records({tp}, timeout=0, max_records=FETCH_RECORDS)
            if not records:
                records = await fetcher.fetched_records(partitions, timeout=wait_s, max_records=FETCH_RECORDS)
        ends: dict[Any, tuple[int, int]] = {}
        subscription = consumer._subscription.subscription  # noqa: SLF001 - position() would wait for a fetch's answer
        assignment = subscription.assignment if subscription is not None else None
        if assignment is not None:
            for tp in partitions & assignment.tps:
                state = assignment.state_value(tp)
                if state is not None and state.has_valid_position:
                    # last stable offset -1: no fetch has answered yet, so nothing is known
                    ends[tp] = (state.position, -1 if state.lso is None else state.lso)
        return records, ends


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
        if partitions:
            assignments = runtime.assignments
            records, ends = await self._thread.fetch(partitions, min(timeout, 0.1))
            # What was asked for before a rebalance goes on from where the consumer stood, not from where the tasks do,
            # which have dropped what they had buffered: fed now, it would make them skip that.
            if self.flow_active and assignments == runtime.assignments:
                runtime.feed(records, ends)
            if sum(map(len, records.values())) < FETCH_RECORDS:
                # The stream is live: fetching whenever a record is there would be hundreds of fetches a second.
                await asyncio.sleep(FETCH_PAUSE_S)
        else:
            # Every task is full, or none is owned.
            await asyncio.sleep(FETCH_PAUSE_S)
        none: tuple[tuple[TP, Message], ...] = ()
        for message in none:
            yield message

    async def leave(self) -> None:
        """Leave the group when closed; without a consumer there is nothing to leave."""
        if self.app.conf.consumer_group_instance_id:
            await self._thread.leave()

    async def perform_seek(self) -> None:
        """To the committed offsets, then each task to its own: a task starts from its own row."""
        await super().perform_seek()
        own = {TP(*tp): offset for tp, offset in self.app.runtime.positions().items()}
        if own:
            await self.seek_wait(own)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust sees no events here, and the runtime watches progress itself."""


class Transport(driver.Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = Consumer


class Tables(TableManager):
    """Faust's table manager, of which only the recovery service is used: it drives the rebalance to its end."""

    logger = FAUST_LOG

    async def on_start(self) -> None:
        """Start at once: there are no Faust tables to wait for (Faust sleeps a second)."""
        await self._update_channels()
        await self.recovery.start()


class Boot(faust.app.BootStrategy):
    """Consumer and agent only: tasks have their own producers, and the web server is ours."""

    enable_kafka_producer = False
    enable_web = False


class App(faust.App):
    """The Faust application of one role in one process."""

    logger = FAUST_LOG

    BootStrategy = Boot

    def __init__(self, runtime: Runtime, kafka: KafkaSettings, *, instance_id: str | None = None) -> None:
        settings = runtime.settings
        self.runtime, self.kafka = runtime, kafka
        super().__init__(
            runtime.group,
            broker=f"kafka://{kafka.bootstrap}",
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=HEARTBEAT_MS / 1000,
            broker_request_timeout=max(40, settings.session_timeout_s * 2),
            consumer_group_instance_id=instance_id,
            consumer_auto_offset_reset="earliest",
            store="memory://",
            table_standby_replicas=settings.standby_replicas,
            stream_wait_empty=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            TableManager=Tables,
            web_enabled=False,
            worker_redirect_stdouts=False,
        )
        runtime.hand_over = self._hand_over
        runtime.commit_offsets = self._commit_offsets
        batches = self.topic(*runtime.inputs, schema=Passthrough(), acks=False)
        self.agent(batches, name=f"{runtime.role.name}-agent")(fold_batches)
        self.on_rebalance_complete.connect(self._on_rebalance_complete)

    def _create_directories(self) -> None:
        """None: Faust keeps nothing on disk here."""

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    async def _hand_over(self, batch: Batch) -> None:
        """Put a micro-batch on the agent's stream, through Faust's own conductor and flow control."""
        partition = batch.task.context.partition
        topic = self.runtime.inputs[0]
        await self.topics.on_message(
            Message(
                topic=topic,
                partition=partition,
                offset=batch.records[0].offset,
                timestamp=batch.records[0].timestamp / 1000,
                timestamp_type=0,
                headers=[],
                key=None,
                value=batch,
                checksum=None,
                tp=TP(topic, partition),
                generation_id=self.consumer_generation_id,
            )
        )

    async def _commit_offsets(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit input offsets outside a transaction (``at_least_once``)."""
        wanted = {TP(*tp): offset for tp, offset in offsets.items()}
        if not await self.consumer._commit(wanted):  # noqa: SLF001 - commit() wants messages that Faust itself has seen
            raise RuntimeError(f"the group refused the offsets {dict(offsets)}")

    async def _on_rebalance_complete(self, _app: Any, **_: Any) -> None:
        # Heartbeats go on here; inside on_partitions_assigned they would stop while tables are restored.
        try:
            if self.runtime.replicas is not None:
                await self.runtime.replicas.start()
            await self.runtime.assign(self.consumer.assignment(), self._standbys())
        except Exception as exc:
            self.runtime.fail("assignment", exc)
            raise

    def _standbys(self) -> set[int]:
        """The tasks this process is to keep a warm copy of; the assignor prefers it when their owner is lost."""
        return {tp.partition for tp in self.assignor.assigned_standbys() if tp.topic == self.runtime.inputs[0]}

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        # Before Faust suspends the flow: after that no batch would reach the agent and pause() would wait for ever.
        try:
            await self.runtime.pause()
        except Exception as exc:
            self.runtime.fail("revocation", exc)
            raise
        await super()._on_partitions_revoked(revoked)

    async def on_stop(self) -> None:
        """Commit and close before Faust takes the consumer away; then leave, so that others take over at once.

        A process that is killed does not come here: if it is back within the session timeout, nothing has moved.
        """
        await self.runtime.close()
        await self.consumer.leave()
        await super().on_stop()

    async def _on_agent_error(self, _agent: Any, exc: BaseException) -> None:
        # An agent's exception would be acknowledged and forgotten; here it ends the process.
        self.runtime.fail("agent", exc)


async def fold_batches(batches: faust.StreamT[Batch]) -> None:
    """The agent: each micro-batch is folded by its task."""
    async for batch in batches:
        batch.run()
