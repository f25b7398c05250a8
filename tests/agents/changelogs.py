"""Changelogs of one task on a real Kafka, and what they come to; run as a program it recovers them until killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import faults
from agents.outbox import Outbox
from agents.recovery import restore
from agents.topic_admin import create_topics
from agents.topics import BY_NAME, TopicSettings
from agents.transaction import ExactlyOnce
from state import rocks
from state.codecs import RawCodec
from state.settings import StateSettings
from state.store import TaskIdentity, digest_rows
from state.table import TableSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from state.store import TaskStore

PARTITION = 1
IDENTITY = TaskIdentity("user", PARTITION, 2)
TABLES = (TableSpec("profile", RawCodec()), TableSpec("seen", RawCodec()))

Row = tuple[str, bytes, bytes | None]


def topics_of(prefix: str) -> dict[str, str]:
    """Table → physical topic."""
    return {spec.name: f"{prefix}changelog-user-{spec.name}" for spec in TABLES}


class Changelogs:
    """Writes transactions with the task's own committer, and folds those that were committed."""

    def __init__(self, prefix: str, client: Mapping[str, Any]) -> None:
        self.prefix, self.client = prefix, client
        self.topics = topics_of(prefix)
        self.folded: dict[tuple[str, bytes], bytes] = {}

    async def create(self) -> Changelogs:
        """The topics, empty."""
        specs = [BY_NAME[f"changelog-user-{spec.name}"] for spec in TABLES]
        await create_topics(self.client, TopicSettings(prefix=self.prefix, partitions=2), topics=specs)
        self.committer = ExactlyOnce(
            self.client, transactional_id=f"{self.prefix}task", group=f"{self.prefix}group", timeout_ms=10_000
        )
        await self.committer.start()
        return self

    async def commit(self, rows: Sequence[Row]) -> None:
        """One transaction of rows of the task's partition, ``None`` being a tombstone."""
        outbox = Outbox()
        for table, key, row in rows:
            outbox.add(self.topics[table], PARTITION, key, row)
            if row is None:
                self.folded.pop((table, key), None)
            else:
                self.folded[table, key] = row
        await self.committer.commit(outbox, {})

    async def abort(self, rows: Sequence[Row]) -> None:
        """A transaction whose rows are in the log, and never happened."""
        producer = self.committer._producer
        await producer.begin_transaction()
        for table, key, row in rows:
            await producer.send_and_wait(self.topics[table], row, key=key, partition=PARTITION)
        await producer.abort_transaction()

    async def restore(self, store: TaskStore, **more: Any) -> int:
        """As a worker does."""
        return await restore(store, self.topics, PARTITION, self.client, **more)

    def rows(self) -> list[tuple[str, bytes, bytes]]:
        """The compacted changelogs, read committed."""
        return [(*at, row) for at, row in sorted(self.folded.items())]

    def digest(self) -> str:
        """Of these rows."""
        return digest_rows(self.rows())

    async def close(self) -> None:
        """Disconnect."""
        await self.committer.close()


def open_store(path: Path) -> TaskStore:
    """The task's store, with memtables so small that a recovery writes many files."""
    return rocks.open_store(path, TABLES, IDENTITY, StateSettings(write_buffer_bytes=1 << 18))


if __name__ == "__main__":
    refused = faults.arm(os.environ)
    assert not refused, refused
    store = open_store(Path(sys.argv[1]))
    asyncio.run(restore(store, topics_of(sys.argv[2]), PARTITION, {"bootstrap_servers": sys.argv[3]}))
    store.close()
