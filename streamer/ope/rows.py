"""Rows of a file of rounds or of a policy, and what they say, or a ``ReaderError`` that names file and line."""

from __future__ import annotations

import csv
import json
from math import fsum, isnan
from typing import TYPE_CHECKING, Any, Final

from streamer.ope.log import LEAST, MOST
from streamer.readers.source import ReaderError, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_READ: Final = "read are JSON lines, an object a line, and CSV, a header and then a row a line, plain or gzip"
_BOM: Final = b"\xef\xbb\xbf"
ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "action": ("action", "item_id"),
    "reward": ("reward", "click"),
    "propensity": ("propensity", "propensity_score", "pscore"),
    "user": ("user", "user_id"),
}


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number, from 1, and row."""
    source = Source(path)
    head = source.head().removeprefix(_BOM).lstrip()
    if head.startswith(b"{"):
        yield from _of_json(path, source)
        return
    for sign, name in ((b"[", "a JSON array"), (b"PAR1", "a Parquet file")):
        if head.startswith(sign):
            raise ReaderError(f"{path} is {name}; {_READ}")
    if b"\0" in head:
        raise ReaderError(f"{path} is no text; {_READ}")
    yield from _of_csv(path, source)


def _of_json(path: Path, source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    with source.open_text() as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ReaderError(f"{path}: line {number} is not JSON ({error}); {_READ}") from None
            if not isinstance(row, dict):
                raise ReaderError(f"{path}: line {number} is no object")
            yield number, row


def _of_csv(path: Path, source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    with source.open_text() as text:
        reader = csv.DictReader(text)
        try:
            for row in reader:
                more: Any = row.pop(None, ())
                if more:
                    raise ReaderError(
                        f"{path}: line {reader.line_num} has more cells than the header has, by {len(more)}"
                    )
                yield reader.line_num, row
        except csv.Error as error:
            raise ReaderError(f"{path}: line {reader.reader.line_num} is no CSV ({error}); {_READ}") from None


def told(row: Mapping[str, Any], name: str) -> Any:
    """What a row says under a name or its aliases, ``None`` if nothing."""
    for alias in ALIASES.get(name, (name,)):
        value = row.get(alias)
        if value is not None and value != "":
            return value
    return None


def needed(path: Path, line: int, row: Mapping[str, Any], name: str) -> Any:
    """The same of what every round has."""
    value = told(row, name)
    if value is None:
        raise ReaderError(
            f"{path}: line {line} has no {name}; a round needs action, reward and propensity "
            f"(here {' or '.join(ALIASES[name])})"
        )
    return value


def action(path: Path, line: int, row: Mapping[str, Any]) -> str:
    """What was done."""
    value = needed(path, line, row, "action")
    if not isinstance(value, str | int | float):
        raise ReaderError(f"{path}: line {line}: action is {value!r}, which is no name")
    return str(value)


def reward(path: Path, line: int, row: Mapping[str, Any]) -> float:
    """What it earned."""
    value = needed(path, line, row, "reward")
    found = as_number(value)
    if not abs(found) < MOST:
        raise ReaderError(f"{path}: line {line}: reward is {value!r}, which is no number below {MOST:g}")
    return found


def propensity(path: Path, line: int, row: Mapping[str, Any]) -> float:
    """How probable it was."""
    value = needed(path, line, row, "propensity")
    found = as_number(value)
    if not LEAST < found <= 1:
        raise ReaderError(
            f"{path}: line {line}: propensity is {value!r}: it must lie in (0, 1], since what could not be chosen was "
            "not"
        )
    return found


def probabilities(path: Path, line: int, row: Mapping[str, Any], off: float) -> dict[str, float]:
    """Of each action named: at least 0, with a sum of 1, ``off`` by so much at most."""
    value = row.get("probabilities")
    if not isinstance(value, dict):
        raise ReaderError(f'{path}: line {line} needs "probabilities", an object, as other lines have')
    for name, p in value.items():
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1 + off:
            raise ReaderError(
                f"{path}: line {line}: the probability of {name} is {p!r}, which is no number from 0 to 1"
            )
    total = fsum(value.values())
    if abs(total - 1) > off:
        raise ReaderError(
            f"{path}: line {line}: the probabilities are not at least 0 with a sum of 1 (it is {total:.9g})"
        )
    return value


def as_number(value: Any) -> float:
    """NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def natural(text: str) -> tuple[int, float, str]:
    """A key to sort by: numbers in their order, before words."""
    number = as_number(text)
    return (1, 0.0, text) if isnan(number) else (0, number, text)
