"""Worker processes: started, watched, restarted, stopped.

A worker ends itself whenever a task fails, is fenced or makes no progress; restarting it is the one recovery path. This
is the supervisor of ``streamer worker`` on one machine; under Kubernetes or Compose run one role a container instead.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from agents.worker import REFUSED, ROLES
from streamer.process import Watcher
from streamer.settings import leaves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from streamer.settings import Settings

log = logging.getLogger(__name__)

#: Seconds before the first restart; doubled by each one soon after the last, up to ``MAX_BACKOFF_S``.
BACKOFF_S: Final = 0.1
MAX_BACKOFF_S: Final = 30.0
#: A process that lived this long has recovered: the next failure starts from the shortest wait again.
HEALTHY_S: Final = 60.0
GRACE_S: Final = 20.0


@dataclass
class Child:
    """One worker process: its role and number, and when it may next be started."""

    role: str
    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    backoff_s: float = BACKOFF_S
    restarts: int = 0
    not_before: float = field(default=0.0)

    @property
    def name(self) -> str:
        """Such as ``user-0``."""
        return f"{self.role}-{self.number}"


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment variables that give another process these settings: those that differ from their defaults."""
    found: dict[str, str] = {}
    for leaf in leaves():
        value: Any = settings
        for name in leaf.path:
            value = getattr(value, name)
        if value != leaf.default:
            found[leaf.env] = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return found


class RefusedError(RuntimeError):
    """A worker said that it cannot run as configured; restarting would not help."""


class Supervisor:
    """Keeps one process a role and number alive."""

    def __init__(
        self,
        roles: Sequence[str],
        processes: int,
        settings: Settings,
        *,
        quiet: bool = False,
        remove: Path | None = None,
    ) -> None:
        """``processes`` is the number of user workers; item and trainer get one each.

        The children get ``settings`` through their environment, where secrets do not show in a process list. The
        first listens on ``web.port``, the next on the one after it, and so on (0: any). ``quiet`` drops their standard
        output. None of them outlives this process, however it ends; ``remove`` is a folder that goes with them if it
        ends before ``stop()``.
        """
        if unknown := sorted(set(roles) - set(ROLES)):
            raise ValueError(f"unknown roles {unknown}; roles are {', '.join(ROLES)}")
        self._environment, self._port, self._quiet = environment_of(settings), settings.web.port, quiet
        self._remove = remove
        self._watcher: Watcher | None = None
        self._host = f"{socket.gethostname()}-{settings.web.port or os.getpid()}"
        self.children = [Child(role, number) for role in roles for number in range(processes if role == "user" else 1)]

    def command(self, place: int) -> list[str]:
        """The command line of the child at ``place``."""
        child = self.children[place]
        module = [sys.executable, "-m", "streamer.cli.main", "worker"]
        # Static membership: a restart within the session timeout takes its tasks back without a rebalance. The name
        # must be this process's alone in the group, hence host and port.
        command = [*module, "--role", child.role, "--instance", f"{self._host}-{child.name}"]
        # At the first start an address may be wrong. Later it was right once: who ends and comes back ever more slowly
        # while the broker is away is late when it is there again, and has spent the time on imports.
        return [*command, "--await-kafka"] if child.restarts else command

    def environment(self, place: int) -> dict[str, str]:
        """The environment of the child at ``place``: ours, the settings, and its own port."""
        port = self._port + place if self._port else 0
        return os.environ | self._environment | {"STREAMER_WEB__PORT": str(port)}

    def start(self) -> None:
        """Start every child."""
        for place in range(len(self.children)):
            self.spawn(place)

    def spawn(self, place: int) -> None:
        """Start the child at ``place``."""
        child = self.children[place]
        output = subprocess.DEVNULL if self._quiet else None
        self._watcher = self._watcher or Watcher(self._remove)
        # A session of its own: Ctrl-C reaches the supervisor alone, which then stops the children in order.
        child.process = subprocess.Popen(
            self.command(place),
            env=self.environment(place),
            start_new_session=True,
            stdout=output,
        )
        self._watcher.watch(child.process.pid)
        child.started = time.monotonic()

    def tend(self) -> None:
        """Restart what has died and is due; call this about every 100 ms. Raises ``RefusedError``."""
        now = time.monotonic()
        for place, child in enumerate(self.children):
            if child.process is None:
                if now >= child.not_before:
                    self.spawn(place)
                continue
            code = child.process.poll()
            if code is None:
                continue
            if self._watcher is not None:
                self._watcher.forget(child.process.pid)
            if code == REFUSED and not child.restarts:
                # At a later start the settings are as they were when it worked: what it refuses may pass, as a disk
                # that is full or read-only for a while.
                raise RefusedError(f"worker {child.name} refused to start; its log says why")
            if now - child.started > HEALTHY_S:
                child.backoff_s = BACKOFF_S
            log.error("worker %s ended with %d; restarting in %.1f s", child.name, code, child.backoff_s)
            child.process, child.not_before = None, now + child.backoff_s
            child.backoff_s = min(child.backoff_s * 2, MAX_BACKOFF_S)
            child.restarts += 1

    def stop(self) -> None:
        """Ask every child to finish, and end those that do not within ``GRACE_S`` seconds."""
        alive = [child.process for child in self.children if child.process is not None and child.process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        for process in alive:
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()

    def run(self) -> None:
        """Start, tend until SIGINT or SIGTERM, stop."""
        ended = False

        def end(*_: object) -> None:
            nonlocal ended
            ended = True

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.start()
            while not ended:
                self.tend()
                time.sleep(0.1)
        finally:
            self.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
