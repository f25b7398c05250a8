"""Faust wiring: with ``consumer.py`` the only place that knows Faust's insides.

Faust gives group membership, assignment, rebalancing and the agent; the tasks own buffers, order, tables and
commits. Each override below says what it replaces and why. Written against faust-streaming 0.15.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import faust
import faust.app
from faust.tables.manager import TableManager
from faust.types import TP, Message

from agents.consumer import FAUST_LOG, HEARTBEAT_MS, Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.batch import Batch
    from agents.runtime import Runtime
    from agents.settings import KafkaSettings


class Passthrough(faust.Schema):
    """Hands a micro-batch to the agent as it is: there is nothing left to decode."""

    def loads_key(self, _app: Any, message: Message, **_: Any) -> Any:
        """The key, untouched."""
        return message.key

    def loads_value(self, _app: Any, message: Message, **_: Any) -> Any:
        """The batch, untouched."""
        return message.value


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
        failed = None
        try:
            await self.runtime.close()
        except Exception as exc:  # noqa: BLE001 - it ends the process, once the tasks are free for others
            failed = exc
        await self.consumer.leave()
        if failed is not None:
            # Faust would wait without end for a service that failed to stop.
            self.runtime.fail("stop", failed)
        await super().on_stop()

    async def _on_agent_error(self, _agent: Any, exc: BaseException) -> None:
        # An agent's exception would be acknowledged and forgotten; here it ends the process.
        self.runtime.fail("agent", exc)


async def fold_batches(batches: faust.StreamT[Batch]) -> None:
    """The agent: each micro-batch is folded by its task."""
    async for batch in batches:
        batch.run()
