"""What tests ask about processes of the operating system."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def gone(pid: int) -> bool:
    """Whether no process of this id runs any more (a zombie nobody reaped counts as gone)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] in {"", "Z"}


def wait_for(what: Callable[[], bool], timeout_s: float = 20.0) -> bool:
    """Whether ``what()`` came true in time."""
    deadline = time.monotonic() + timeout_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.02)
    return what()
