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
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from agents.clients import read_topic
from agents.topic_admin import create_topics
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
    parser.add_argument("--processes", type=int, default=2, help="user workers")
    parser.add_argument("--seed", type=int, default=1)
    return parser


class Cluster:
    """A broker, topics and worker processes: ``processes`` for the user role, one each for the others."""

    def __init__(self, broker: EmbeddedBroker, settings: Settings, processes: int) -> None:
        self.broker, self.settings = broker, settings
        self.client = settings.kafka.client_kwargs()
        self.topic = settings.topics.physical
        self.supervisor = Supervisor(ROLES, processes, settings, quiet=True)

    def start(self) -> None:
        """Start the workers, the user role's last, so that no event is folded before all the others are ready."""
        for roles in (("item", "trainer"), ("user",)):
            places = [place for place, child in enumerate(self.supervisor.children) if child.role in roles]
            for place in places:
                self.supervisor.spawn(place)
            deadline = time.monotonic() + READY_S
            while not all(is_ready(self.settings.web.port + place) for place in places):
                if time.monotonic() > deadline:
                    raise TimeoutError("the workers were not ready in time")
                time.sleep(0.05)

    def metrics(self, role: str) -> dict[str, float]:
        """Samples of a role's workers by ``name{labels}``, the role label left out, summed over its processes."""
        samples: dict[str, float] = {}
        for place, child in enumerate(self.supervisor.children):
            if child.role == role:
                for name, value in self.metrics_of(place).items():
                    samples[name] = samples.get(name, 0.0) + value
        return samples

    def metrics_of(self, place: int) -> dict[str, float]:
        """Samples of the worker at ``place``. Raises ``OSError`` if it does not answer."""
        role, samples = self.supervisor.children[place].role, {}
        with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.web.port + place}/metrics", timeout=10) as page:
            text = page.read().decode()
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name.replace(f'role="{role}",', "").replace(f'{{role="{role}"}}', "")] = float(value)
        return samples

    def tasks(self, place: int) -> list[int]:
        """The tasks that are open in the worker at ``place``; none if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.web.port + place}/readyz", timeout=2) as page:
                found: list[int] = json.load(page)["tasks"]
        except urllib.error.HTTPError as refusal:
            found = json.load(refusal)["tasks"]
        except OSError:
            found = []
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """CPU time used so far by each role's workers and by Kafka."""
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

    async def drained(self) -> None:
        """Tend the workers until no role has input left. One that is being restarted does not answer for a while."""
        while True:
            self.supervisor.tend()
            with contextlib.suppress(OSError):
                if await asyncio.to_thread(self.caught_up):
                    return
            await asyncio.sleep(0.2)

    async def records(self, name: str) -> list[Any]:
        """Everything committed in a topic."""
        return await read_topic(self.client, self.topic(name))


def process_cpu_seconds(pid: int | None) -> float:
    """User and system time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def cluster(overrides: Sequence[str], *, processes: int = 1, heap: str = "1g") -> Iterator[Cluster]:
    """A fresh cluster with its topics; the workers are not yet started."""
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamer-load-"))
        # Data in a folder of ours: a broker that is stopped and started again has what it had.
        broker = stack.enter_context(EmbeddedBroker(heap=heap, data_dir=Path(scratch) / "kafka"))
        settings = load(
            None,
            {},
            {"kafka.bootstrap": broker.bootstrap, "runtime.data_dir": f"{scratch}/state", "log.level": "WARNING"}
            | flags(overrides),
        )
        port = free_ports(len(ROLES) - 1 + processes)
        settings = dataclasses.replace(settings, web=dataclasses.replace(settings.web, port=port))
        asyncio.run(create_topics(settings.kafka.client_kwargs(), settings.topics))
        made = Cluster(broker, settings, processes)
        try:
            yield made
        finally:
            made.supervisor.stop()


def journal_totals(journal: Sequence[Any]) -> tuple[dict[str, int], int]:
    """What became of the records, and the Kafka timestamp (ms) of the last commit."""
    totals: dict[str, int] = {}
    for record in journal:
        for batch in orjson.loads(record.value)["batches"]:
            for name, count in batch["counts"].items():
                totals[name] = totals.get(name, 0) + count
    return totals, max(record.timestamp for record in journal)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"cores": os.cpu_count(), "python": platform.python_version(), "machine": platform.machine()}


def fixed_loop_s() -> float:
    """Seconds that three million multiplications take in this interpreter now: how fast the machine is just then."""
    started, total = time.perf_counter(), 0
    for number in range(3_000_000):
        total += number * number
    return round(time.perf_counter() - started, 3)


def write(figures: dict[str, Any], path: Path | None) -> None:
    """Print the figures, and write them to ``path`` if one is given."""
    print(json.dumps(figures, indent=2))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n")
