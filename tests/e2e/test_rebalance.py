"""A rebalance: the tasks that stay go on while others are opened; input that is gone is told of, and passed over."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from agents.roles.user import UserRole
from state.rocks import open_store
from state.store import TaskIdentity
from streamer.core.partition import partition_of
from tests.e2e.conftest import running, settings_for
from tests.e2e.test_pipeline import event, warm
from tests.e2e.test_standby import metric
from tests.e2e.test_two_workers import tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.e2e.conftest import System

Rows = list[tuple[str, bytes | None, bytes | None]]


def readiness(system: System, place: int) -> dict[str, Any]:
    """What the worker at ``place`` says of its tasks; empty if it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.settings.web.port + place}/readyz", timeout=2) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as answer:
        found = json.load(answer)
    except OSError:
        return {}
    return found


def visits(partitions: Iterable[int], name: str, shoppers: int = 40, each: int = 5) -> Rows:
    """Views by shoppers of these partitions of four."""
    wanted = set(partitions)
    users = [user for n in range(shoppers) if partition_of(user := f"{name}-{n}", 4) in wanted]
    return [
        ("browse", user.encode(), event(user, n, f"item-{n}", ago_s=each - n)) for n in range(each) for user in users
    ]


def test_tasks_that_stay_go_on_while_those_that_were_gained_are_not_open_yet(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """The lost worker's tables are held open by somebody else, so that its tasks cannot begin."""
    settings = settings_for(bootstrap, prefix, tmp_path, runtime__session_timeout_s=6)
    with running(settings, workers=2) as system:
        system.until(lambda: len(tasks_of(system, 0)) == len(tasks_of(system, 1)) == 2, 60)
        known = warm(system)
        kept, gained = tasks_of(system, 0), tasks_of(system, 1)
        leaver = next(child for child in system.supervisor.children if child.name == "user-1")
        system.supervisor.children.remove(leaver)
        assert leaver.process is not None
        leaver.process.send_signal(signal.SIGKILL)
        leaver.process.wait(timeout=30)
        folder = settings.runtime.data_dir / f"{prefix}user"
        held = [
            open_store(folder / str(p), UserRole.tables, TaskIdentity("user", p, 4, prefix), settings.state)
            for p in gained
        ]
        try:
            system.until(lambda: readiness(system, 0).get("opening") == sorted(gained), 60)
            here, there = visits(kept, "here"), visits(gained, "there")
            system.send(here + there)
            system.drain(known + len(here))
            assert readiness(system, 0)["opening"] == sorted(gained)
            assert readiness(system, 0)["tasks"] == sorted(kept)
        finally:
            for store in held:
                store.close()
        counts = system.drain(known + len(here) + len(there))
        assert counts["applied"] == known + len(here) + len(there)
        assert tasks_of(system, 0) == [0, 1, 2, 3]
        sent = Counter(orjson.loads(r.value)["candidate_id"] for r in system.read("push-candidates"))
        assert max(sent.values()) == 1


def ends(system: System, topic: str) -> dict[TopicPartition, int]:
    """One past the last offset of each partition that has any."""
    found: dict[TopicPartition, int] = {}
    for record in system.read(topic):
        found[TopicPartition(record.topic, record.partition)] = record.offset + 1
    return found


def delete(system: System, before: dict[TopicPartition, int]) -> None:
    """Delete the records of each partition before an offset, as retention does."""

    async def run() -> None:
        admin = AIOKafkaAdminClient(**system.client)
        await admin.start()
        try:
            await admin.delete_records({tp: RecordsToDelete(before_offset=offset) for tp, offset in before.items()})
        finally:
            await admin.close()

    asyncio.run(run())


def test_input_that_was_deleted_unread_is_counted_and_what_came_after_it_is_folded(
    bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(bootstrap, prefix, tmp_path)
    with running(settings) as system:
        known = warm(system)
        system.supervisor.stop()
        unread = visits(range(4), "unread")
        system.send(unread)
        delete(system, ends(system, "browse"))
        after = visits(range(4), "after")
        system.send(after)
        system.start()
        counts = system.drain(known + len(after))
        assert counts["applied"] == known + len(after)
        assert metric(system, 0, "streamer_input_lost_offsets") == len(unread)
