"""Logs: one JSON object a line or lines for people, and no secret in either."""

from __future__ import annotations

import io
import json
import logging

import pytest

from agents.logs import Sparing, configure
from agents.settings import LogSettings


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored():
    """The process's logging as pytest set it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


def test_a_line_for_machines_is_one_json_object_with_its_fields():
    """Also where the message has lines of its own."""
    out = io.StringIO()
    configure(LogSettings(), stream=out, role="user")
    logging.getLogger("agents.task").warning("two\nlines of %d", 3, extra={"partition": 7})
    [line] = out.getvalue().splitlines()
    row = json.loads(line)
    assert row.pop("time").endswith("+00:00")
    assert row == {
        "level": "WARNING",
        "logger": "agents.task",
        "message": "two\nlines of 3",
        "role": "user",
        "partition": 7,
    }


def test_an_exception_is_a_field_with_its_traceback():
    """One line, whatever was raised."""
    out = io.StringIO()
    configure(LogSettings(format="json"), stream=out)
    try:
        dict[str, int]()["k"]
    except KeyError:
        logging.getLogger("a").exception("it failed")
    [line] = out.getvalue().splitlines()
    assert "KeyError: 'k'" in json.loads(line)["exception"]


def test_a_terminal_gets_lines_for_people():
    """The form is chosen by where it goes."""
    out = Terminal()
    configure(LogSettings(), stream=out)
    logging.getLogger("agents.task").info("owns %d tasks", 4, extra={"partition": 7})
    assert out.getvalue().endswith("INFO    agents.task: owns 4 tasks (partition=7)\n")


@pytest.mark.parametrize("form", ["json", "human"])
def test_a_secret_is_struck_out_wherever_it_appears(form):
    """In the message, in a field, in a traceback, in a field named for it."""
    out = io.StringIO()
    configure(LogSettings(format=form), secrets=["hunter2", "", "hunter2-long"], stream=out)
    log = logging.getLogger("a")
    log.info(
        "connecting with %s and hunter2-long", {"sasl_plain_password": "hunter2"}, extra={"url": "k://me:hunter2@x"}
    )
    log.info("x", extra={"sasl_password": "unknown-to-us"})
    try:
        int("hunter2")
    except ValueError:
        log.exception("failed")
    told = out.getvalue()
    assert "hunter2" not in told
    assert "-long" not in told
    assert "unknown-to-us" not in told
    assert told.count("***") >= 5


def test_what_is_below_the_level_is_not_written():
    """And libraries are quiet at INFO."""
    out = io.StringIO()
    configure(LogSettings(format="json"), stream=out)
    logging.getLogger("a").debug("no")
    logging.getLogger("aiokafka.conn").info("no")
    logging.getLogger("aiokafka.conn").error("yes")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == ["yes"]


def test_configuring_twice_writes_each_line_once():
    """The second call replaces the first."""
    out = io.StringIO()
    configure(LogSettings(), stream=io.StringIO())
    configure(LogSettings(), stream=out)
    logging.getLogger("a").warning("once")
    assert len(out.getvalue().splitlines()) == 1


def test_a_library_that_repeats_itself_is_heard_once_a_second_with_how_often_it_did():
    """A broker that is away must not fill the disk with lines that all say so; our own lines all pass."""
    sparing, out = Sparing(), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(sparing)

    def say(name: str, at: float, *args: object) -> None:
        record = logging.LogRecord(name, logging.ERROR, "", 1, "no node %s", args, None)
        record.created = at
        handler.handle(record)

    for n in range(1_000):
        say("aiokafka", 100 + n / 1_000, n)
        say("agents.task", 100 + n / 1_000, n)
    say("aiokafka.conn", 100.5, "of another place")
    say("aiokafka", 101.5, "last")
    lines = out.getvalue().splitlines()
    theirs = [line for line in lines if not line[8:].isdecimal() or line == "no node 0"]
    assert theirs == [
        "no node 0",
        "no node 0",
        "no node of another place",
        "no node last (999 more like this since)",
    ]
    assert len(lines) == 1_000 + 3


def test_a_clock_that_is_set_back_silences_no_library():
    sparing, out = Sparing(), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(sparing)
    for at in (50_000.0, 100.0, 100.5, 101.5):
        record = logging.LogRecord("aiokafka", logging.ERROR, "", 1, "no node", (), None)
        record.created = at
        handler.handle(record)
    assert out.getvalue().splitlines() == ["no node", "no node", "no node (1 more like this since)"]
