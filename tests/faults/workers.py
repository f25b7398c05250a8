"""Worker processes that a test may kill, stop, arm with faults and multiply; they come back as under a supervisor."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from agents import faults
from streamer.process import Watcher
from streamer.supervisor import BACKOFF_S, environment_of

if TYPE_CHECKING:
    from streamer.settings import Settings

GRACE_S: Final = 40.0
WEIGHED_EVERY_S: Final = 0.25


@dataclass
class Worker:
    """One process of a role. ``fault`` arms its next start, once.

    ``exits``: the codes it ended with so far; ``rss``: the most bytes that one of its processes was seen to have held.

    ``instance`` is its name in the group, its own unless told.
    """

    role: str
    number: int
    port: int
    data_dir: Path
    bootstrap: str
    fault: str = ""
    instance: str = ""
    rss: int = 0
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    due: float = 0.0
    exits: list[int] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Such as ``user-0``."""
        return f"{self.role}-{self.number}"

    @property
    def running(self) -> bool:
        """Whether there is a process (it may be stopped)."""
        return self.process is not None and self.process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it owns tasks and has recovered them."""
        try:
            # A worker with a backlog on a busy machine may take a second to answer.
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=3) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def weigh(self) -> None:
        """Look at the most memory that its process ever held."""
        if self.process is None:
            return
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return
        if (most := re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)) is not None:
            self.rss = max(self.rss, int(most[1]) * 1024)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is anybody to get it."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


class Workers:
    """The processes of a system. ``tend()`` starts again what has ended, with whatever code, after half a second.

    Each process has a hash seed of its own, which follows from ``seed``, its worker's name and how often that has
    started. ``rss``: the most memory (bytes) of each worker.
    """

    def __init__(self, settings: Settings, folder: Path, ports: int, seed: int) -> None:
        self.all: list[Worker] = []
        self._settings, self._folder, self._ports = settings, folder, ports
        self.rss: dict[str, int] = {}
        self._watcher, self._seed, self._weighed = Watcher(), seed, 0.0

    def add(
        self,
        role: str,
        number: int,
        *,
        bootstrap: str = "",
        fault: str = "",
        instance: str = "",
        data_dir: Path | None = None,
    ) -> Worker:
        """Start one more. It keeps its state in a folder of its own, as on a machine of its own."""
        worker = Worker(
            role,
            number,
            self._ports + len(self.all),
            data_dir or self._folder / f"{role}-{number}",
            bootstrap or self._settings.kafka.bootstrap,
            fault,
            instance,
        )
        self.all.append(worker)
        self._start(worker)
        return worker

    def remove(self, worker: Worker, *, how: signal.Signals = signal.SIGTERM) -> int:
        """End the newest worker for good. Its exit code."""
        assert worker is self.all[-1], "ports are given by place"
        worker.wanted = False
        worker.signal(signal.SIGCONT)
        worker.signal(how)
        code = self._wait(worker)
        self.all.remove(worker)
        return code

    def of(self, role: str) -> list[Worker]:
        """Those of a role."""
        return [worker for worker in self.all if worker.role == role]

    def tend(self) -> None:
        """Call this about every 50 ms."""
        now = time.monotonic()
        if now - self._weighed > WEIGHED_EVERY_S:
            self._weighed = now
            self.weigh()
        for worker in self.all:
            if worker.process is not None and (code := worker.process.poll()) is not None:
                worker.exits.append(code)
                self._watcher.forget(worker.process.pid)
                worker.process, worker.due = None, now + BACKOFF_S
            if worker.process is None and worker.wanted and now >= worker.due:
                self._start(worker)

    def weigh(self) -> None:
        """Look at the memory of all."""
        for worker in self.all:
            worker.weigh()
            self.rss[worker.name] = max(self.rss.get(worker.name, 0), worker.rss)

    def end(self, worker: Worker) -> int:
        """SIGTERM, and wait. The exit code; it stays away until ``wanted`` again."""
        worker.wanted = False
        worker.signal(signal.SIGTERM)
        return self._wait(worker)

    def stop(self) -> dict[str, int]:
        """End all in order; their exit codes by name."""
        for worker in self.all:
            worker.wanted = False
            worker.signal(signal.SIGCONT)
            worker.signal(signal.SIGTERM)
        self.weigh()
        codes = {worker.name: self._wait(worker) for worker in self.all}
        self._watcher.stop()
        return codes

    def again(self) -> None:
        """Have ``tend()`` start all again that were stopped."""
        self._watcher = Watcher()
        for worker in self.all:
            worker.wanted, worker.due = True, 0.0

    def _wait(self, worker: Worker) -> int:
        process, worker.process = worker.process, None
        if process is None:
            return worker.exits[-1] if worker.exits else 0
        try:
            code = process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self._watcher.forget(process.pid)
        worker.exits.append(code)
        return code

    def _start(self, worker: Worker) -> None:
        settings = self._settings
        own = dataclasses.replace(
            settings,
            kafka=dataclasses.replace(settings.kafka, bootstrap=worker.bootstrap),
            runtime=dataclasses.replace(settings.runtime, data_dir=worker.data_dir),
            web=dataclasses.replace(settings.web, port=worker.port),
        )
        hashed = Random(f"{self._seed} {worker.name} {len(worker.exits)}").randrange(1 << 32)
        env = os.environ | environment_of(own) | {"PYTHONHASHSEED": str(hashed)}
        if worker.fault:
            env |= {faults.VARIABLE: worker.fault, faults.SWITCH: faults.SWITCHED_ON}
            worker.fault = ""
        module = [sys.executable, "-m", "streamer.cli.main", "worker"]
        with (self._folder / f"{worker.name}.log").open("ab") as out:
            worker.process = subprocess.Popen(
                [*module, "--role", worker.role, "--instance", worker.instance or worker.name],
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._watcher.watch(worker.process.pid)
