"""Children and scratch folders when their parent ends, in order or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streamer.process import Watcher
from tests.processes import gone, wait_for

if TYPE_CHECKING:
    from pathlib import Path

# Starts three children that would wait for ever, forgets the second, and says their ids. From a thread that ends at
# once, since children must not be tied to the thread that started them.
PARENT = """
import subprocess, sys, threading
from pathlib import Path
from streamer.process import Watcher

def start():
    watcher = Watcher(Path(sys.argv[1]))
    children = [subprocess.Popen(["sleep", "1000"], start_new_session=True) for _ in range(3)]
    for child in children:
        watcher.watch(child.pid)
    watcher.forget(children[1].pid)
    kept.append(watcher)
    print(*(child.pid for child in children), flush=True)

kept = []
thread = threading.Thread(target=start)
thread.start()
thread.join()
input()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_watched_ends_with_its_parent_and_its_folder_goes(how: signal.Signals, tmp_path: Path):
    scratch = tmp_path / "scratch folder"
    scratch.mkdir()
    command = [sys.executable, "-c", PARENT, str(scratch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        first, forgotten, last = map(int, parent.stdout.readline().split())
        try:
            assert not any(map(gone, (first, forgotten, last)))
            os.kill(parent.pid, how)
            assert wait_for(lambda: gone(first) and gone(last) and not scratch.exists())
            assert not gone(forgotten)
        finally:
            os.kill(forgotten, signal.SIGKILL)


def test_a_watcher_stopped_in_order_touches_nothing(tmp_path: Path):
    with subprocess.Popen(["sleep", "1000"]) as child:
        watcher = Watcher(tmp_path)
        watcher.watch(child.pid)
        watcher.stop()
        assert child.poll() is None
        assert tmp_path.exists()
        child.kill()
