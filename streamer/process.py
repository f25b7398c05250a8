"""Child processes that do not outlive their parent."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

# Told which processes to watch by lines on its input; at the end of its input, whoever could have waited for an orderly
# stop is gone. The removal waits for their last writes, but not for ever: nobody may be there to reap them.
_SCRIPT: Final = """
pids=
while read -r word value; do
    case $word in
        watch) pids="$pids $value" ;;
        forget) kept=; for pid in $pids; do [ "$pid" = "$value" ] || kept="$kept $pid"; done; pids=$kept ;;
        stop) exit 0 ;;
    esac
done
for pid in $pids; do
    kill -9 "$pid"
done
if [ -n "$1" ]; then
    n=0
    for pid in $pids; do
        while kill -0 "$pid" && [ $n -lt 30 ]; do sleep 0.1; n=$((n + 1)); done
    done
    rm -rf -- "$1"
fi
"""


class Watcher:
    """Kills the processes it was told of, should this one end without saying so, by SIGKILL included.

    It is a ``/bin/sh`` holding the read end of a pipe from this process: that works on Linux and macOS, and unlike
    Linux's parent-death signal it does not depend on which thread started the children. ``remove`` is a folder to be
    removed after them.
    """

    def __init__(self, remove: Path | None = None) -> None:
        # A session of its own: Ctrl-C in a terminal must not reach it.
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "watcher", "" if remove is None else str(remove)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, pid: int) -> None:
        """From now on ``pid`` is not to outlive us."""
        self._tell(f"watch {pid}")

    def forget(self, pid: int) -> None:
        """``pid`` has ended: its number may be given to somebody else."""
        self._tell(f"forget {pid}")

    def stop(self) -> None:
        """All have ended in order; nothing is killed or removed."""
        self._tell("stop")
        self._shell.communicate()

    def _tell(self, line: str) -> None:
        if self._shell.stdin is not None and self._shell.poll() is None:
            self._shell.stdin.write(line.encode() + b"\n")
            self._shell.stdin.flush()
