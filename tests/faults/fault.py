"""What a fault is, and what the faults have in common."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults.checker import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.faults.rig import Rig
    from tests.faults.workers import Worker

KILLED: Final = {-signal.SIGKILL, -signal.SIGALRM}
#: What a worker may end with when it finds itself fenced or without its disk: both are told by its supervisor.
FAILED: Final = {70, 78}
ALL: Final = tuple(ROLES)


@dataclass(frozen=True, slots=True)
class Injected:
    """What was done, how often, whom it hit, and when the harm was over (monotonic clock)."""

    what: str
    count: int
    roles: tuple[str, ...]
    over: float
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """``inject(rig, random)``; ``weight`` is how often it is drawn, ``last`` that it belongs at a round's end."""

    name: str
    inject: Callable[[Rig, Random], Injected]
    weight: int = 1
    last: bool = False


def over(what: str, count: int, *roles: str, skipped: str = "") -> Injected:
    """The harm is over now."""
    return Injected(what, count, roles, time.monotonic(), skipped)


def first(rig: Rig, role: str) -> Worker:
    """The worker of a role that there always is."""
    return rig.workers.of(role)[0]


def sigkill(rig: Rig, worker: Worker) -> None:
    """SIGKILL, and wait until it is gone. It is started again when ``wanted``, by the next ``tend()``."""
    if worker.process is not None:
        ended = len(worker.exits)
        worker.signal(signal.SIGKILL)
        rig.until("killed", lambda: len(worker.exits) > ended, 30)
