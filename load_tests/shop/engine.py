"""Engines for a simulated shop: worker processes of their own under a topic prefix of their own, on one broker."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from agents.topic_admin import create_topics
from load_tests.harness import Cluster
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from streamer.broker import EmbeddedBroker

#: A run is much faster than life: commits are frequent, so that the index and the model lag by a step or two, and no
#: timer is let off by the clock on the wall.
FAST: Final = (
    "topics.partitions=1",
    "topics.item_partitions=1",
    "runtime.commit_interval_ms=20",
    "runtime.target_batch_ms=20",
    "runtime.item_commit_interval_ms=20",
    "runtime.trainer_commit_interval_ms=50",
    "runtime.idle_tick_ms=0",
    "log.level=WARNING",
)
PORTS: Final = 3
"""Of the workers of one engine."""


@asynccontextmanager
async def engine(
    broker: EmbeddedBroker, prefix: str, settings: Sequence[str], data_dir: Path, port: int
) -> AsyncIterator[Cluster]:
    """One worker a role, ready; stopped at the end. ``port`` is the first of ``PORTS`` free ones."""
    given = {"kafka.bootstrap": broker.bootstrap, "topics.prefix": prefix, "runtime.data_dir": str(data_dir)}
    made = load(None, {}, given | flags(FAST) | flags(settings))
    made = dataclasses.replace(made, web=dataclasses.replace(made.web, port=port))
    await create_topics(made.kafka.client_kwargs(), made.topics)
    cluster = Cluster(broker, made, processes=1)
    try:
        await asyncio.to_thread(cluster.start)
        yield cluster
    finally:
        await asyncio.to_thread(cluster.supervisor.stop)
