"""Named points of the task runtime at which a test can have the process killed or stopped, or its clock jump.

A point is a call such as ``faults.point("after-commit")``. Unless a fault was armed it does nothing: one attribute
look-up and the call of an empty function, 25 ns measured, and no point lies where it would be met once an event.

``STREAMER_FAULT=point:nth[:action]`` arms one (several with commas between): the nth time the process comes to the
point, the action is taken. Actions are

- ``kill`` (the default): SIGKILL to itself, there and then;
- ``kill@ms``: so many milliseconds later, wherever it is then, a write inside RocksDB included (by an alarm that nobody
  handles, which ends a process as abruptly);
- ``stop``: SIGSTOP to itself, until somebody sends SIGCONT: a zombie in the making;
- ``clock@s``: the wall clock of this process is ``s`` seconds later from now on, earlier if negative. ``time.time`` is
  replaced, which is how this program reads that clock (aiokafka's compiled record code reads it by itself, but is given
  our stamps); the monotonic clock does not jump on any machine.
  Setting the machine's clock would hit the broker and the other processes as well, and intercepting ``clock_gettime``
  (an ``LD_PRELOAD``) takes a compiler wherever the tests run.

It is honoured only next to ``STREAMER_FAULT_SWITCH=tests-only``. Without that, and for a point or an action that does
not exist, ``arm`` says why it refuses, and the worker does not start: a variable that was left behind must not take
down a production worker, nor a misspelt one pass a test in which nothing was injected.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

Point = Literal[
    "after-state",  # a micro-batch is folded into the overlay, nothing is sent
    "after-candidate-send",  # the transaction is open, candidates are with the producer
    "after-changelog-send",  # as are rows of a changelog
    "before-offsets",  # everything is with the producer but the input offsets
    "after-offsets",  # the offsets are part of the transaction
    "before-commit",  # every row is acknowledged, the transaction is open
    "after-commit",  # the transaction is committed, the disk does not know of it
    "during-store-write",  # the write batch is being made (``kill``) or under way in RocksDB (``kill@0.5`` or so)
    "after-store-write",  # the disk has the rows
    "during-recovery",  # a stretch of a changelog is in the store
    "after-revocation",  # tasks are paused, a rebalance takes its course
    "during-rebalance",  # lost tasks are closed, gained ones not yet open
]

POINTS: Final[tuple[Point, ...]] = get_args(Point)

VARIABLE: Final = "STREAMER_FAULT"
SWITCH: Final = "STREAMER_FAULT_SWITCH"
SWITCHED_ON: Final = "tests-only"

_FAULT: Final = re.compile(r"([a-z-]+):([1-9]\d{0,8})(?::(kill|stop|kill@\d{1,6}(?:\.\d{1,3})?|clock@[+-]?\d{1,8}))?")
_SENT: Final[dict[str, Point]] = {"push-candidates": "after-candidate-send", "changelog": "after-changelog-send"}


def _nothing(_what: str) -> None:
    """No fault is armed."""


#: The runtime has come to this point.
point: Callable[[Point], None] = _nothing
#: Rows for this (physical) topic are with the producer.
sent: Callable[[str], None] = _nothing


class _Armed:
    """Counts how often each point was met, and acts when a fault is due."""

    def __init__(self, due: Mapping[tuple[Point, int], str]) -> None:
        self._due, self._met = due, Counter[Point]()

    def point(self, name: Point) -> None:
        self._met[name] += 1
        action = self._due.get((name, self._met[name]))
        if action is not None:
            log.warning("fault: %s at %s, met %d times", action, name, self._met[name])
            _act(action)

    def sent(self, topic: str) -> None:
        for part, name in _SENT.items():
            if part in topic:
                self.point(name)


def _act(action: str) -> None:
    what, _, amount = action.partition("@")
    if what == "clock":
        before, jump_s = time.time, int(amount)
        time.time = lambda: before() + jump_s
    elif amount:
        signal.setitimer(signal.ITIMER_REAL, max(float(amount), 0.001) / 1000)
    else:
        os.kill(os.getpid(), signal.SIGSTOP if what == "stop" else signal.SIGKILL)


def arm(environment: Mapping[str, str]) -> str:
    """Arm what ``STREAMER_FAULT`` asks for, once a process and in its main thread. Why it is refused, or nothing."""
    # Module variables, since a point must cost no more than their look-up while none is armed.
    global point, sent
    text = environment.get(VARIABLE, "")
    if not text:
        return ""
    if environment.get(SWITCH) != SWITCHED_ON:
        return (
            f"{VARIABLE}={text} asks this process to kill itself. Unset it; tests that mean it "
            f"set {SWITCH}={SWITCHED_ON} as well"
        )
    due: dict[tuple[Point, int], str] = {}
    for one in text.split(","):
        match = _FAULT.fullmatch(one.strip())
        named = [name for name in POINTS if match is not None and name == match[1]]
        if match is None or not named:
            return f"{VARIABLE}: {one!r} is no point:nth[:kill|kill@ms|stop|clock@s]; points are {', '.join(POINTS)}"
        due[named[0], int(match[2])] = match[3] or "kill"
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    armed = _Armed(due)
    point, sent = armed.point, armed.sent
    log.warning("faults armed: %s", text)
    return ""
