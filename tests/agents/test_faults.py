"""Fault points: free and silent unless armed, armed only where a test says so, and then as deadly as they claim."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents import faults

AGENTS = Path(faults.__file__).parent

# Comes to three points in turn, again and again, and says so.
WALK = """
import logging, os, sys
from agents import faults
logging.basicConfig()
if refusal := faults.arm(os.environ):
    sys.exit(refusal)
for n in range(1, 200):
    faults.point("after-state")
    faults.sent("shop.changelog-user-profile")
    faults.sent("shop.push-candidates")
    faults.sent("shop.decisions")
    print(n, flush=True)
    if n > 3:
        import time
        time.sleep(0.01)
"""


CLOCK = """
import os, time
from agents import faults
assert not faults.arm(os.environ)
real = time.time
for _ in range(3):
    print(round((time.time() - real()) / 60), flush=True)
    faults.point("after-commit")
"""


def walk(fault: str, switch: str | None = faults.SWITCHED_ON) -> subprocess.Popen[str]:
    env = os.environ | {faults.VARIABLE: fault} | ({faults.SWITCH: switch} if switch else {})
    return subprocess.Popen(
        [sys.executable, "-c", WALK], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_nothing_is_armed_in_a_process_that_nobody_told_so():
    assert faults.arm({}) == ""
    assert faults.point is faults._nothing
    assert faults.sent is faults._nothing


def test_a_fault_is_refused_without_the_switch_of_the_tests():
    refusal = faults.arm({faults.VARIABLE: "after-commit:1"})
    assert faults.SWITCH in refusal
    assert faults.point is faults._nothing


@pytest.mark.parametrize("fault", ["after-lunch:1", "after-commit", "after-commit:0", "after-commit:1:maim", ","])
def test_a_misspelt_fault_is_refused_with_the_points_there_are(fault: str):
    refusal = faults.arm({faults.VARIABLE: fault, faults.SWITCH: faults.SWITCHED_ON})
    assert "before-offsets" in refusal
    assert faults.point is faults._nothing


@pytest.mark.parametrize(
    ("fault", "walked"),
    [("after-state:3", 2), ("after-changelog-send:2:kill", 1), ("before-commit:1,after-candidate-send:4", 3)],
)
def test_the_process_kills_itself_the_nth_time_it_comes_to_the_point(fault: str, walked: int):
    process = walk(fault)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, err
    assert out.split() == [str(n + 1) for n in range(walked)]
    assert "fault: kill at" in err


def test_a_kill_may_come_milliseconds_after_the_point():
    process = walk("after-state:1:kill@20")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGALRM
    assert 0 < len(out.split()) < 199


def test_a_stopped_process_goes_on_when_it_is_continued():
    process = walk("after-state:2:stop")
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
    finally:
        process.send_signal(signal.SIGCONT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.split()[-1] == "199"


def test_every_point_lies_somewhere_in_the_runtime():
    code = "".join(path.read_text() for path in AGENTS.rglob("*.py") if path.name != "faults.py")
    called = set(re.findall(r'faults\.point\("([a-z-]+)"\)', code))
    assert "faults.sent(" in code
    assert called | set(faults._SENT.values()) == set(faults.POINTS)


def test_the_wall_clock_of_the_process_jumps_at_the_points_and_its_jumps_add_up():
    jumps = "after-commit:1:clock@7200,after-commit:2:clock@-10800"
    env = os.environ | {faults.VARIABLE: jumps, faults.SWITCH: faults.SWITCHED_ON}
    walked = subprocess.run([sys.executable, "-c", CLOCK], env=env, text=True, capture_output=True, check=True)
    assert walked.stdout.split() == ["0", "120", "-60"]
