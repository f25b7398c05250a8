"""Local state equals the compacted changelogs, read committed, however it came about."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from agents import faults
from agents.changelog_reader import ChangelogReader
from agents.clients import partitions_of, reader
from agents.metrics import Metrics
from agents.recovery import STALE_MS, TOLD_EVERY_S, ChangelogTruncatedError, Progress
from state import memory
from state.errors import StateCorrupt, StateError
from state.store import digest_rows, set_aside
from tests.agents.changelogs import IDENTITY, PARTITION, TABLES, Changelogs, open_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.agents.changelogs import Row
    from tests.conftest import Broker

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def changelogs(prefix: str, broker: Broker) -> AsyncIterator[Changelogs]:
    """Empty ones of the test's own."""
    made = await Changelogs(prefix, broker.client).create()
    try:
        yield made
    finally:
        await made.close()


def rows_of(rng: random.Random, count: int, keys: int, size: int = 40) -> list[Row]:
    """Random rows of both tables; one in five is a tombstone."""
    return [
        (rng.choice(TABLES).name, b"k%d" % rng.randrange(keys), rng.randbytes(size) if rng.random() < 0.8 else None)
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_was_committed_and_aborted_both_back_ends_end_as_the_compacted_changelog(
    seed: int, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Random histories of transactions, restores in between, and stores reopened."""

    async def history() -> None:
        rng = random.Random(seed)
        disk = memory.MemoryDisk()
        async with changelogs(prefix, broker) as logs:
            for _ in range(12):
                for _ in range(rng.randrange(4)):
                    work = logs.abort if rng.random() < 0.3 else logs.commit
                    await work(rows_of(rng, rng.randrange(1, 30), keys=40))
                for store in (memory.open_store(TABLES, IDENTITY, disk), open_store(tmp_path / "task")):
                    await logs.restore(store)
                    assert list(store.committed_rows()) == logs.rows()
                    assert store.digest() == logs.digest()
                    store.close()
            fresh = open_store(tmp_path / "fresh")
            await logs.restore(fresh)
            assert fresh.digest() == logs.digest()
            fresh.close()

    asyncio.run(history())


def test_a_recovery_is_the_same_through_several_answers_of_the_broker(
    broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """Megabytes in both tables, later rows and tombstones of the same keys far behind the first."""

    async def recover() -> None:
        rng = random.Random(7)
        async with changelogs(prefix, broker) as logs:
            written = 0
            for _ in range(6):
                rows = rows_of(rng, 2000, keys=3000, size=500)
                await logs.commit(rows)
                written += len(rows)
            store = open_store(tmp_path / "task")
            assert await logs.restore(store) == written
            assert store.digest() == logs.digest()
            assert await logs.restore(store) == 0
            store.close()

    asyncio.run(recover())


def killed_recovery(path: Path, logs: Changelogs, broker: Broker, fault: str) -> None:
    """A process that recovers ``path`` and is killed by SIGKILL on the way."""
    environment = os.environ | {faults.VARIABLE: fault, faults.SWITCH: faults.SWITCHED_ON}
    command = [sys.executable, "-m", "tests.agents.changelogs", str(path), logs.prefix, broker.bootstrap]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode in (-signal.SIGKILL, -signal.SIGALRM), ended.stderr


def test_a_recovery_killed_anywhere_ends_at_the_same_state(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Killed again and again in the middle, with rows committed in between: what was stored is gone on from."""

    async def recover() -> None:
        rng = random.Random(11)
        async with changelogs(prefix, broker) as logs:
            for _ in range(8):
                await logs.commit(rows_of(rng, 2000, keys=4000, size=700))
            path = tmp_path / "task"
            positions = []
            for fault in ("during-recovery:1", "during-recovery:3", "during-recovery:2:kill@3", "during-recovery:4"):
                await asyncio.to_thread(killed_recovery, path, logs, broker, fault)
                store = open_store(path)
                positions.append(sum(store.positions().values()))
                partly = sum(1 for _ in store.committed_rows())
                assert partly < len(logs.folded) or fault.endswith(":4")
                store.close()
                await logs.commit(rows_of(rng, 300, keys=4000, size=700))
            assert positions == sorted(positions)
            assert positions[-1] > 0
            store = open_store(path)
            await logs.restore(store)
            assert store.digest() == logs.digest()
            store.close()

    asyncio.run(recover())


def test_what_was_recovered_outlives_a_kill_right_after(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """A restart then has nothing to read."""

    async def recover() -> None:
        async with changelogs(prefix, broker) as logs:
            await logs.commit([("profile", b"k%d" % n, b"row") for n in range(500)])
            store = open_store(tmp_path / "task")
            await logs.restore(store)
            before = store.positions()
            # A copy of the files as they lie now is what a kill leaves.
            shutil.copytree(tmp_path / "task", tmp_path / "killed")
            store.close()
            killed = open_store(tmp_path / "killed")
            assert (killed.positions(), killed.digest()) == (before, logs.digest())
            assert await logs.restore(killed) == 0
            killed.close()

    asyncio.run(recover())


def test_state_ahead_of_its_changelog_is_rebuilt(
    broker: Broker, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a topic was deleted and made anew under the same name."""

    async def recover() -> None:
        async with changelogs(prefix, broker) as logs:
            await logs.commit([("profile", b"true", b"row")])
            store = open_store(tmp_path / "task")
            store.restore("profile", [(b"false", b"row")], 1_000_000, changelog=logs.topics["profile"])
            await logs.restore(store)
            assert list(store.committed_rows()) == logs.rows()
            store.close()

    asyncio.run(recover())
    assert "lies outside its changelog; rebuilding" in caplog.text


def test_rows_deleted_from_a_changelog_are_not_missed_silently(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Whether local state is behind them or gone; it is not touched, and one that is beyond them goes on."""

    async def recover() -> None:
        async with changelogs(prefix, broker) as logs:
            await logs.commit([("profile", b"a", b"1"), ("profile", b"b", b"1")])
            store = open_store(tmp_path / "task")
            await logs.restore(store)
            await logs.commit([("profile", b"a", None)])
            await logs.commit([("profile", b"b", b"2")])
            tp = TopicPartition(logs.topics["profile"], PARTITION)
            admin = AIOKafkaAdminClient(**broker.client)
            await admin.start()
            # Kafka refuses to cut what is only compacted; somebody may have changed that.
            cleanup = {"cleanup.policy": "compact,delete"}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, tp.topic, configs=cleanup)])
            # Up to the deletion and its marker: offsets 0-2 are the first transaction, 3-4 the second.
            await admin.delete_records({tp: RecordsToDelete(before_offset=5)})
            await admin.close()
            with pytest.raises(ChangelogTruncatedError, match="begins at offset 5"):
                await logs.restore(store)
            assert list(store.committed_rows()) == [("profile", b"a", b"1"), ("profile", b"b", b"1")]
            store.close()
            nothing = open_store(tmp_path / "nothing")
            with pytest.raises(ChangelogTruncatedError, match="is not there"):
                await logs.restore(nothing)
            nothing.close()
            beyond = open_store(tmp_path / "beyond")
            beyond.restore("profile", [(b"b", b"1")], 5, changelog=tp.topic)
            await logs.restore(beyond)
            assert list(beyond.committed_rows()) == [("profile", b"b", b"2")]
            beyond.close()

    asyncio.run(recover())


@pytest.mark.parametrize(("age_ms", "kept"), [(STALE_MS - 600_000, True), (STALE_MS + 600_000, False)])
def test_state_too_old_for_its_tombstones_is_rebuilt(
    age_ms: int, kept: bool, broker: Broker, prefix: str, tmp_path: Path
) -> None:
    """A row whose tombstone is compacted away would stay for ever."""

    async def recover() -> None:
        async with changelogs(prefix, broker) as logs:
            await logs.commit([("profile", b"a", b"1")])
            store = open_store(tmp_path / "task")
            await logs.restore(store)
            store.restore("profile", [(b"deleted meanwhile", b"1")], store.positions()[logs.topics["profile"]])
            store.committed({}, fresh_ms=int(time.time() * 1000) - age_ms)
            await logs.restore(store)
            assert store.table("profile").get("deleted meanwhile") == (b"1" if kept else None)
            assert store.table("profile").get("a") == b"1"
            store.close()

    asyncio.run(recover())


def test_a_recovery_cut_short_ages_from_its_beginning(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Without that, a part restored long ago would count as fresh."""

    async def recover() -> None:
        async with changelogs(prefix, broker) as logs:
            await logs.commit(rows_of(random.Random(1), 8000, keys=8000, size=400))
            begun_ms = int(time.time() * 1000)
            await asyncio.to_thread(killed_recovery, tmp_path / "task", logs, broker, "during-recovery:1")
            store = open_store(tmp_path / "task")
            fresh_ms = store.fresh_ms()
            assert fresh_ms is not None
            assert begun_ms <= fresh_ms <= time.time() * 1000
            store.close()

    asyncio.run(recover())


def test_progress_is_told_in_metrics_and_in_the_log(
    broker: Broker, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is left falls to 0, the rows and seconds are counted, and the end is told with rate and share."""
    caplog.set_level(logging.INFO, "agents.recovery")
    metrics = Metrics()
    name = f'streamer_recovery_left{{partition="{PARTITION}",role="user"}} '

    def left() -> float | None:
        lines = [line for line in metrics.render().decode().splitlines() if line.startswith(name)]
        return float(lines[0].removeprefix(name)) if lines else None

    async def recover() -> list[float]:
        async with changelogs(prefix, broker) as logs:
            for _ in range(3):
                await logs.commit([("profile", b"k%d" % n, bytes(400)) for n in range(5000)])
            store = open_store(tmp_path / "task")
            restoring = asyncio.ensure_future(logs.restore(store, metrics=metrics))
            seen: list[float] = []
            while not restoring.done():
                if (now := left()) is not None and now not in seen:
                    seen.append(now)
                await asyncio.sleep(0)
            assert restoring.result() == 15_000
            store.close()
            return [*seen, left() or 0.0]

    seen = asyncio.run(recover())
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == 15_003
    assert seen[-1] == 0
    assert any(0 < value < 15_003 for value in seen)
    told = metrics.render().decode()
    assert 'streamer_recovery_rows_total{role="user"} 15000.0' in told
    assert 'streamer_recovery_seconds_total{role="user"} 0.0\n' not in told
    assert f"recovered the tables of partition {PARTITION}: 15000 rows in" in caplog.text
    assert "100 % done" in caplog.text


def test_progress_can_be_told_where_nothing_was_left_at_the_beginning(caplog: pytest.LogCaptureFixture) -> None:
    """As for a copy that is up to date and follows what is written from then on."""
    caplog.set_level(logging.INFO, "agents.recovery")
    progress = Progress(PARTITION, 0, None)
    progress._told -= TOLD_EVERY_S
    progress.applied(5, 6)
    assert "5 rows in" in caplog.text
    assert "100 % done" in caplog.text


def test_a_position_out_of_range_is_an_error_not_an_endless_wait(broker: Broker, prefix: str) -> None:
    """As when a changelog is cut while it is read: the process ends, and its restart rebuilds."""

    async def read() -> None:
        async with changelogs(prefix, broker) as logs, reader(broker.client) as consumer:
            await logs.commit([("profile", b"a", b"1")])
            await partitions_of(consumer, logs.topics.values())
            tp = TopicPartition(logs.topics["profile"], PARTITION)
            changelog = ChangelogReader(consumer, {tp: 1000}, {tp: 2000})
            with pytest.raises(OffsetOutOfRangeError):
                await changelog.fetch(changelog.behind())

    asyncio.run(read())


def test_the_digest_of_no_rows_is_that_of_an_empty_recovery(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Empty changelogs are a recovery, too."""

    async def recover() -> None:
        async with changelogs(prefix, broker) as logs:
            store = open_store(tmp_path / "task")
            assert await logs.restore(store) == 0
            assert store.digest() == digest_rows([])
            assert store.fresh_ms() is not None
            store.close()

    asyncio.run(recover())


def test_damaged_state_set_aside_is_rebuilt_to_the_same_state(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Damage that only a read meets: refused there, refused at the next open, rebuilt from the changelogs."""

    async def recover() -> None:
        async with changelogs(prefix, broker) as logs:
            for _ in range(3):
                await logs.commit(rows_of(random.Random(5), 3000, keys=4000, size=300))
            path = tmp_path / "task"
            store = open_store(path)
            await logs.restore(store)
            store.close()
            file = max(path.glob("*.sst"), key=lambda sst: sst.stat().st_size)
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2] + bytes(64) + content[len(content) // 2 + 64 :])
            store = open_store(path)
            with pytest.raises(StateCorrupt):
                list(store.committed_rows())
            with suppress(StateError):
                store.close()
            with pytest.raises(StateCorrupt):
                open_store(path)
            set_aside(path)
            store = open_store(path)
            assert await logs.restore(store) == 9000
            assert store.digest() == logs.digest()
            store.close()

    asyncio.run(recover())
