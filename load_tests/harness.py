"""What the load tests share: a cluster on this machine, its processes' CPU time, and the report."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import platform
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from agents.clients import read_topic
from agents.topics import create_topics
from streamer.broker import EmbeddedBroker
from streamer.demo import ROLES, free_ports, is_ready
from streamer.settings import Settings, flags, load
from streamer.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READY_S = 120.0


def arguments(description: str) -> argparse.ArgumentParser:
    """Options every load test takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting, as `streamer` takes it"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser


class Cluster:
    """A broker, topics and worker processes."""

    def __init__(self, broker: EmbeddedBroker, settings: Settings) -> None:
        self.broker, self.settings = broker, settings
        self.client = settings.kafka.client_kwargs()
        self.topic = settings.topics.physical
        self.supervisor = Supervisor(ROLES, 1, settings, quiet=True)

    def start(self) -> None:
        """Start the workers; returns when all are ready."""
        self.supervisor.start()
        deadline = time.monotonic() + READY_S
        while not all(is_ready(self.settings.web.port + n) for n in range(len(ROLES))):
            self.supervisor.tend()
            if time.monotonic() > deadline:
                raise TimeoutError("the workers were not ready in time")
            time.sleep(0.1)

    def metrics(self, role: str) -> dict[str, float]:
        """Samples of a role's worker by ``name{labels}``, the role label left out."""
        port = self.settings.web.port + ROLES.index(role)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples: dict[str, float] = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name.replace(f'role="{role}",', "").replace(f'{{role="{role}"}}', "")] = float(value)
        return samples

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time used so far by each role's worker and by Kafka."""
        seconds = {role: self.metrics(role)["process_cpu_seconds_total"] for role in ROLES}
        return seconds | {"kafka": process_cpu_seconds(self.broker.pid)}

    def caught_up(self) -> bool:
        """Whether no role has input left."""
        return all(
            value == 0
            for role in ROLES
            for name, value in self.metrics(role).items()
            if name.startswith(("streamer_lag_records", "streamer_replica_lag_records"))
        )

    async def records(self, name: str) -> list[Any]:
        """Everything committed in a topic."""
        return await read_topic(self.client, self.topic(name))


def process_cpu_seconds(pid: int | None) -> float:
    """User and system time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def cluster(overrides: Sequence[str], heap: str = "1g") -> Iterator[Cluster]:
    """A fresh cluster with its topics; the workers are not yet started."""
    with tempfile.TemporaryDirectory(prefix="streamer-load-") as scratch, EmbeddedBroker(heap=heap) as broker:
        settings = load(
            None,
            {},
            {"kafka.bootstrap": broker.bootstrap, "runtime.data_dir": f"{scratch}/state", "log.level": "WARNING"}
            | flags(overrides),
        )
        settings = dataclasses.replace(settings, web=dataclasses.replace(settings.web, port=free_ports(len(ROLES))))
        asyncio.run(create_topics(settings.kafka.client_kwargs(), settings.topics))
        made = Cluster(broker, settings)
        try:
            yield made
        finally:
            made.supervisor.stop()


def journal_totals(journal: Sequence[Any]) -> tuple[dict[str, int], float]:
    """What became of the records, and the seconds between the first and the last commit by the journal's timestamps."""
    totals: dict[str, int] = {}
    for record in journal:
        for batch in orjson.loads(record.value)["batches"]:
            for name, count in batch["counts"].items():
                totals[name] = totals.get(name, 0) + count
    times = [record.timestamp for record in journal]
    return totals, (max(times) - min(times)) / 1000


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}


def write(figures: dict[str, Any], path: Path | None) -> None:
    """Print the figures, and write them to ``path`` if one is given."""
    print(json.dumps(figures, indent=2))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n")
