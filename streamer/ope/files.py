"""Logged bandit feedback from a file: JSON lines or CSV, plain or gzip, a round a row.

==================  ==================================================================================================
``action``          required; also ``item_id``
``reward``          required, a number; also ``click``
``propensity``      required, in (0, 1]; also ``propensity_score``, ``pscore``
``position``        the place on a page, if there are several
``user``            whose round it was; also ``user_id``. Without it every round counts as a user of its own
``id``              names the round, for a policy that says something of each
``score``           what ``threshold:X`` looks at (actions are then ``send`` and ``hold``); ``score_NAME`` are others
``probabilities``   JSON lines only: the logging policy's probability of every action, by name
context             JSON lines: the object ``context``. CSV: columns beginning with ``context_`` or ``user_feature_``.
                    Numbers as they are, words as one column for each of the most frequent
==================  ==================================================================================================

The other names are those of the Open Bandit Dataset, whose files can be read as they are.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.ope.log import Log, LogError, Target, single, unsettled
from streamer.ope.policies import HOLD, SEND
from streamer.readers.source import ReaderError, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "action": ("action", "item_id"),
    "reward": ("reward", "click"),
    "propensity": ("propensity", "propensity_score", "pscore"),
    "user": ("user", "user_id"),
}
_CONTEXT: Final = ("context_", "user_feature_")
_WORDS: Final = 32
"""As many values of a word in the context get a column of their own."""


def read_log(path: Path, where: Sequence[tuple[str, str]] = ()) -> Log:
    """The rounds of ``path`` whose columns have the values that ``where`` says. Raises LogError and ReaderError."""
    rows = [(number, row) for number, row in _rows(path) if all(str(row.get(c, "")) == v for c, v in where)]
    if not rows:
        raise LogError(
            f"{path}: there are no rounds{' where ' + ', '.join('='.join(w) for w in where) if where else ''}"
        )
    action = [str(_of(path, number, row, "action")) for number, row in rows]
    offered = [row.get("probabilities") for _, row in rows]
    told = {name for each in offered if isinstance(each, dict) for name in each}
    names = tuple(sorted({*action, *told}, key=_natural))
    if set(names) <= {SEND, HOLD}:
        names = (HOLD, SEND)
    place = {name: at for at, name in enumerate(names)}
    users, positions = (_dense([str(row.get(c, "")) for _, row in rows]) for c in ("user", "position"))
    if not any(alias in rows[0][1] for alias in _ALIASES["user"]):
        users = np.arange(len(rows))
    elif "user" not in rows[0][1]:
        users = _dense([str(row.get("user_id", "")) for _, row in rows])
    return Log(
        users=users,
        actions=np.array([place[each] for each in action], np.int64),
        rewards=np.array([_number(path, number, row, "reward") for number, row in rows]),
        propensities=np.array([_number(path, number, row, "propensity") for number, row in rows]),
        positions=positions,
        context=context([_context(row) for _, row in rows]),
        names=names,
        settled=unsettled(len(names)),
        scores=_scores(path, rows),
        offered=_offered(path, offered, place),
        ids=tuple(str(row["id"]) for _, row in rows) if all("id" in row for _, row in rows) else (),
    )


def read_target(path: Path, log: Log) -> Target:
    """A policy as JSON lines: ``{"probabilities": {"action": p, …}}``, with ``"id"`` of a round or ``"position"``.

    Without either there is one line, for all rounds. With ``id``, every round of the log has its line. Positions are
    written as in the log, whose order they have. Raises ``LogError``, ``ReaderError``.
    """
    place = {name: at for at, name in enumerate(log.names)}
    lines = [row for _, row in _rows(path)]
    if not lines or not all(isinstance(line.get("probabilities"), dict) for line in lines):
        raise LogError(f'{path}: each line of a policy needs "probabilities", an object')
    extra = sorted({name for line in lines for name in line["probabilities"]} - place.keys())
    names = (*log.names, *extra)
    if extra:
        raise LogError(
            f"{path}: the policy takes {', '.join(extra[:5])}, which the log never has: there is nothing to judge it by"
        )
    table = np.zeros((len(lines), len(names)))
    for at, line in enumerate(lines):
        for name, p in line["probabilities"].items():
            table[at, place[name]] = p
    return Target(f"file:{path.name}", table, _lines_of(path, lines, log))


def _lines_of(path: Path, lines: list[dict[str, Any]], log: Log) -> Ints:
    if all("id" in line for line in lines):
        at = {str(line["id"]): n for n, line in enumerate(lines)}
        absent = [name for name in log.ids if name not in at]
        if absent or not log.ids:
            raise LogError(
                f"{path}: {len(absent):,} rounds have no line, the first is {absent[0]}" if absent
                else f"{path} names rounds by id, but the log has no ids"
            )  # fmt: skip
        return np.array([at[name] for name in log.ids], np.int64)
    if all("position" in line for line in lines):
        order = np.argsort([float(line["position"]) for line in lines])
        if len(lines) != int(log.positions.max()) + 1:
            raise LogError(f"{path} has {len(lines)} positions, the log has {int(log.positions.max()) + 1}")
        found: Ints = order[log.positions]
        return found
    if len(lines) > 1:
        raise LogError(f'{path}: several lines need "id" or "position" to tell what they are for')
    return single(len(log))


def context(rows: Sequence[Mapping[str, Any]]) -> Floats:
    """[n, d]: numbers, set to a mean of 0 and a deviation of 1, and a column for each frequent word of a field."""
    columns: list[Floats] = []
    for name in sorted({name for row in rows for name in row}):
        values = [row.get(name) for row in rows]
        numbers = np.array([_as_number(value) for value in values])
        if np.isfinite(numbers).all():
            spread = numbers.std()
            if spread > 0:
                columns.append((numbers - numbers.mean()) / spread)
            continue
        texts = [str(value) for value in values]
        # The most frequent is the rest, or the columns would sum to the intercept.
        for word, _ in sorted(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))[1 : _WORDS + 1]:
            columns.append(np.array([text == word for text in texts], np.float64))
    return np.column_stack(columns) if columns else np.zeros((len(rows), 0))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number, from 1, and row."""
    source = Source(path)
    with source.open_text() as text:
        if source.head().lstrip().startswith(b"{"):
            for number, line in enumerate(text, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise ReaderError(f"{path}: line {number} is not JSON ({error})") from None
                if not isinstance(row, dict):
                    raise ReaderError(f"{path}: line {number} is no object")
                yield number, row
        else:
            yield from enumerate(csv.DictReader(text), 2)


def _of(path: Path, number: int, row: Mapping[str, Any], name: str) -> Any:
    for alias in _ALIASES[name]:
        if row.get(alias) not in {None, ""}:
            return row[alias]
    raise ReaderError(
        f"{path}: line {number} has no {name}; a round needs action, reward and propensity "
        f"(here {' or '.join(_ALIASES[name])})"
    )


def _number(path: Path, number: int, row: Mapping[str, Any], name: str) -> float:
    value = _of(path, number, row, name)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ReaderError(f"{path}: line {number}: {name} is {value!r}, which is no number") from None


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _context(row: Mapping[str, Any]) -> Mapping[str, Any]:
    told = row.get("context")
    if isinstance(told, dict):
        return told
    if isinstance(told, list):
        return {f"{at:04d}": value for at, value in enumerate(told)}
    return {name: value for name, value in row.items() if name.startswith(_CONTEXT)}


def _scores(path: Path, rows: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Floats]:
    found = {}
    for column in [name for name in rows[0][1] if name == "score" or name.startswith("score_")]:
        values = np.array([_as_number(row.get(column)) for _, row in rows])
        if not np.isfinite(values).all():
            at = rows[int(np.flatnonzero(~np.isfinite(values))[0])][0]
            raise ReaderError(f"{path}: line {at}: {column} is no number")
        found[column.removeprefix("score_")] = values
    return found


def _offered(path: Path, rows: Sequence[Any], place: Mapping[str, int]) -> Floats | None:
    if not any(isinstance(row, dict) for row in rows):
        return None
    table = np.zeros((len(rows), len(place)))
    for at, row in enumerate(rows):
        if not isinstance(row, dict):
            raise LogError(f"{path}: either every round has probabilities or none")
        for name, p in row.items():
            table[at, place[name]] = p
    return table


def _dense(values: Sequence[str]) -> Ints:
    place = {value: at for at, value in enumerate(sorted(set(values), key=_natural))}
    return np.array([place[value] for value in values], np.int64)


def _natural(text: str) -> tuple[int, float, str]:
    """Numbers in their order, before words."""
    number = _as_number(text)
    return (0, number, text) if number == number else (1, 0.0, text)  # noqa: PLR0124 -- NaN
