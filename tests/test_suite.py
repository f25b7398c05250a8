"""The whole suite in two parts: one closing line of both, and a failure of either is a failure of the whole."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.__main__ import closing, exit_code

ROOT = Path(__file__).parent.parent

TWO_TESTS = """
import pytest

def test_of_no_broker():
    assert {apart}

@pytest.mark.e2e
def test_of_whole_processes():
    assert {shared}
"""
MARKS = "[pytest]\nmarkers =\n    kafka: of the suite\n    e2e: of the suite\n"


ENDS = """
import os

import pytest

def test_of_no_broker():
    assert True

@pytest.mark.e2e
def test_of_whole_processes():
    os._exit(9)
"""


def suite(folder: Path) -> tuple[int, str]:
    """Run the tests of a folder as the suite: the exit code, and the last line up to the seconds."""
    command = [sys.executable, "-m", "tests", "-p", "tests.conftest", "-c", f"{folder}/pytest.ini", f"{folder}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    *_, last = ran.stdout.splitlines()
    return ran.returncode, last.rpartition(" in ")[0]


@pytest.mark.slow
@pytest.mark.parametrize("apart", [True, False])
def test_a_failure_of_either_part_fails_and_the_closing_line_tells_of_both(tmp_path: Path, apart: bool) -> None:
    """By a suite of two tests, one for each part, of which one fails."""
    (tmp_path / "test_two.py").write_text(TWO_TESTS.format(apart=apart, shared=not apart))
    (tmp_path / "pytest.ini").write_text(MARKS)
    assert suite(tmp_path) == (1, "1 failed, 1 passed")


def test_a_part_that_ends_without_a_word_is_told_as_an_error(tmp_path: Path) -> None:
    """As one does whose test hangs for so long that it is killed: the last line must not say that all passed."""
    (tmp_path / "test_ends.py").write_text(ENDS)
    (tmp_path / "pytest.ini").write_text(MARKS)
    code, told = suite(tmp_path)
    assert (code, told) == (9, "1 passed, 1 error")


@pytest.mark.parametrize("what", ["passed", "failed", "error"])
def test_the_closing_line_is_one_that_the_build_finds(what: str) -> None:
    """It looks for the last line that tells how many tests came to what end, and in how many seconds."""
    (pattern,) = re.findall(r"grep -E '([^']+)'", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert re.search(pattern, closing(Counter({what: 3, "deselected": 9}), 61.5))


def test_a_part_without_tests_is_no_failure_unless_both_are() -> None:
    """As with a choice by name."""
    assert [exit_code(codes) for codes in ([5, 0], [0, 5], [5, 5], [5, 1])] == [0, 0, 5, 1]
    assert [exit_code(codes) for codes in ([0, 0], [1, 0], [0, 1], [2])] == [0, 1, 1, 2]
