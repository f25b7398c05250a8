"""Logs of a program: one JSON object a line for machines, or lines for people. Secrets are struck out of both."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents.settings import LogSettings

STRUCK: Final = "***"

#: Attributes every record has; any other came with ``extra=`` and is a field of its own.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_WORDS: Final = ("password", "secret", "token", "credential")

#: Libraries that tell at INFO what only their own developers want to know.
_QUIET: Final = ("aiokafka", "faust", "mode", "aiohttp.access", "asyncio", "kafka")


#: Retries what brokers refuse for a moment, and warns each time: after a transaction's end that is every few seconds.
_RETRYING: Final = "aiokafka.producer.sender"


#: A library that says the same again and again is let through once in so many seconds.
_SPARE_S: Final = 1.0


class Sparing(logging.Filter):
    """Lets a library repeat itself once a second, and then says how often it did.

    Without a broker, aiokafka's clients were seen to say "Unable connect to node" 2,500 times a second. Two lines are
    the same if they come from one place in the code: then logger, level and text before formatting are. Our own lines
    all pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; it may get an ending."""
        if not record.name.startswith(_QUIET):
            return True
        place = (record.name, record.levelno, str(record.msg))
        at, kept_back = self._said.get(place, (float("-inf"), 0))
        if 0 <= record.created - at < _SPARE_S:  # a clock that was set back silences nobody
            self._said[place] = (at, kept_back + 1)
            return False
        if len(self._said) > 1_000:
            self._said.clear()  # texts that were formatted before they were logged are all different
        self._said[place] = (record.created, 0)
        if kept_back:
            record.msg, record.args = f"{record.getMessage()} ({kept_back} more like this since)", ()
        return True


class _Striking(logging.Formatter):
    """Knows the secrets, and strikes them out of whatever its children write."""

    def __init__(self, secrets: Iterable[str], fixed: dict[str, Any]) -> None:
        super().__init__()
        # The longest first, so that one secret within another leaves nothing of either.
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._fixed = fixed

    def strike(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, STRUCK)
        return text

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = dict(self._fixed)
        for name, value in vars(record).items():
            if name not in _USUAL:
                fields[name] = STRUCK if any(word in name.lower() for word in _SECRET_WORDS) else value
        return fields


class JsonFormatter(_Striking):
    """``{"time", "level", "logger", "message", …fields, "exception"}``, one line, time in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        row = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": self.strike(record.getMessage()),
        }
        for name, value in self.fields(record).items():
            simple = isinstance(value, (int, float, bool)) or value is None
            row.setdefault(name, value if simple else self.strike(str(value)))
        if record.exc_info:
            row["exception"] = self.strike(self.formatException(record.exc_info))
        return msgspec.json.encode(row).decode()


class HumanFormatter(_Striking):
    """``12:00:00.000 WARNING agents.task: message (field=value)``, local time."""

    def format(self, record: logging.LogRecord) -> str:
        """A line, with the traceback below it."""
        clock = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")[11:23]
        fields = " ".join(f"{name}={value}" for name, value in self.fields(record).items())
        told = f" ({fields})" if fields else ""
        line = f"{clock} {record.levelname:<7} {record.name}: {record.getMessage()}{told}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return self.strike(line)


def configure(
    settings: LogSettings, *, secrets: Iterable[str] = (), stream: TextIO | None = None, **fixed: Any
) -> None:
    """Send the whole process's logs to ``stream`` (standard error), once; a second call replaces the first.

    ``secrets`` are struck out wherever they appear; ``fixed`` are fields of every line, such as ``role="user"``.
    """
    out = sys.stderr if stream is None else stream
    human = settings.format == "human" or (settings.format == "auto" and out.isatty())
    handler = logging.StreamHandler(out)
    handler.addFilter(Sparing())
    handler.setFormatter((HumanFormatter if human else JsonFormatter)(secrets, fixed))
    level = logging.getLevelNamesMapping()[settings.level]
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    logging.getLogger(_RETRYING).setLevel(max(level, logging.ERROR) if level > logging.DEBUG else level)
    logging.captureWarnings(capture=True)
