"""Warm copies a process keeps, seen from outside: those given up count as behind no more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agents.metrics import Metrics
from agents.standby import Standbys
from agents.stores import Stores
from state.codecs import RawCodec
from state.settings import StateSettings
from state.table import TableSpec
from streamer.broker import free_port

if TYPE_CHECKING:
    from pathlib import Path


def lag_of(metrics: Metrics, partition: int) -> float:
    """What ``streamer_standby_lag`` says of a task."""
    name, of_task = "streamer_standby_lag{", f'partition="{partition}"'
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith(name) and of_task in line]
    return float(lines[0].split()[-1])


def test_a_copy_that_is_given_up_or_taken_is_not_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        metrics = Metrics(role="user")
        stores = Stores(tmp_path, "user", (TableSpec("profile", RawCodec()),), "", StateSettings())
        # Nobody listens there, so that the copies stand still.
        nobody = {"bootstrap_servers": f"127.0.0.1:{free_port()}"}
        standbys = Standbys(stores, {"profile": "changelog-user-profile"}, nobody, metrics)
        await standbys.keep([1, 2], 4)
        for partition in (1, 2):
            metrics.standby_lag(partition, 500)
        await standbys.keep([2], 4)
        assert (lag_of(metrics, 1), lag_of(metrics, 2)) == (0.0, 500.0)
        store = await standbys.take(2, 4)
        assert store is not None
        store.close()
        assert lag_of(metrics, 2) == 0.0
        assert await standbys.take(2, 4) is None
        await standbys.close()

    asyncio.run(scenario())
