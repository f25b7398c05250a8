"""Logged bandit feedback from a file: JSON lines or CSV, plain or gzip, a round a row.

==================  ==================================================================================================
``action``          required; also ``item_id``
``reward``          required, a number; also ``click``
``propensity``      required, in (0, 1]; also ``propensity_score``, ``pscore``
``position``        the place on a page, if there are several
``user``            whose round it was; also ``user_id``. A round that does not tell counts as a user of its own
``id``              names the round, for a policy that says something of each
``score``           what ``threshold:X`` looks at (actions are then ``send`` and ``hold``); ``score_NAME`` are others
``probabilities``   JSON lines only: the logging policy's probability of every action, by name. They sum to 1, and that
                    of the action is the propensity
context             JSON lines: the object ``context``. CSV: columns beginning with ``context_`` or ``user_feature_``.
                    Numbers as they are, words as one column for each of the most frequent
==================  ==================================================================================================

The other names are those of the Open Bandit Dataset, whose files can be read as they are.
"""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamer.ope import rows as reading
from streamer.ope.log import MOST, Log, LogError, Target, single, unsettled
from streamer.ope.policies import HOLD, SEND
from streamer.ope.rows import as_number, natural
from streamer.readers.source import ReaderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Rows = Sequence[tuple[int, dict[str, Any]]]

_CONTEXT: Final = ("context_", "user_feature_")
_WORDS: Final = 32
"""As many values of a word in the context get a column of their own."""
_ROUNDED: Final = 1e-3
"""A policy's probabilities may be so far from a sum of 1: they are often written with a few digits."""
_EXACT: Final = 1e-6
"""Those of the log may not: rounds are weighed by them."""


def read_log(path: Path, where: Sequence[tuple[str, str]] = ()) -> Log:
    """The rounds of ``path`` whose columns have the values that ``where`` says. Raises LogError and ReaderError."""
    rows = [(line, row) for line, row in reading.rows(path) if all(str(row.get(c, "")) == v for c, v in where)]
    if not rows:
        raise LogError(
            f"{path}: there are no rounds{' where ' + ', '.join('='.join(w) for w in where) if where else ''}"
        )
    taken = [reading.action(path, line, row) for line, row in rows]
    offered = _probabilities(path, rows)
    names = tuple(sorted({*taken, *(name for each in offered for name in each)}, key=natural))
    if set(names) <= {SEND, HOLD}:
        names = (HOLD, SEND)
    place = {name: at for at, name in enumerate(names)}
    positions, places = _dense(["" if (at := row.get("position")) is None else str(at) for _, row in rows])
    actions = np.array([place[each] for each in taken], np.int64)
    propensities = np.array([reading.propensity(path, line, row) for line, row in rows])
    return Log(
        users=_users([reading.told(row, "user") for _, row in rows]),
        actions=actions,
        rewards=np.array([reading.reward(path, line, row) for line, row in rows]),
        propensities=propensities,
        positions=positions,
        context=context([_context(row) for _, row in rows]),
        names=names,
        settled=unsettled(len(names)),
        scores=_scores(path, rows),
        offered=_offered(path, rows, offered, place, (actions, propensities)) if offered else None,
        ids=tuple(str(row["id"]) for _, row in rows) if all("id" in row for _, row in rows) else (),
        places=places,
    )


def read_target(path: Path, log: Log) -> Target:
    """A policy as JSON lines: ``{"probabilities": {"action": p, …}}``, with ``"id"`` of a round or ``"position"``.

    Without either there is one line, for all rounds. With ``id``, every round of the log has its line. Positions are
    those of the log. Raises ``LogError``, ``ReaderError``.
    """
    place = {name: at for at, name in enumerate(log.names)}
    rows = list(reading.rows(path))
    if not rows or "probabilities" not in rows[0][1]:
        raise LogError(f'{path}: each line of a policy needs "probabilities", an object')
    told = [reading.probabilities(path, line, row, _ROUNDED) for line, row in rows]
    extra = sorted({name for each in told for name in each} - place.keys())
    if extra:
        raise LogError(
            f"{path}: the policy takes {', '.join(extra[:5])}, which the log never has: there is nothing to judge it by"
        )
    table = np.zeros((len(rows), len(log.names)))
    for at, each in enumerate(told):
        for name, p in each.items():
            table[at, place[name]] = p
    return Target(f"file:{path.name}", table, _lines_of(path, rows, log))


def _lines_of(path: Path, rows: Rows, log: Log) -> Ints:
    """[n]: which row of the policy is for each round."""
    lines = [row for _, row in rows]
    if all("id" in line for line in lines):
        at = _by_name(path, rows, "id")
        absent = [name for name in log.ids if name not in at]
        if absent or not log.ids:
            raise LogError(
                f"{path}: {len(absent):,} rounds have no line, the first is {absent[0]}" if absent
                else f"{path} names rounds by id, but the log has no ids"
            )  # fmt: skip
        return np.array([at[name] for name in log.ids], np.int64)
    if all("position" in line for line in lines):
        at, places = _by_name(path, rows, "position"), log.places or ("",)
        if len(at) != len(places):
            raise LogError(f"{path} has {len(at)} positions, the log has {len(places)}")
        if places == ("",):
            return single(len(log))
        strange = [(line, row["position"]) for line, row in rows if _name(row["position"]) not in map(_name, places)]
        if strange:
            raise ReaderError(
                f"{path}: line {strange[0][0]}: position is {strange[0][1]!r}, the log has {', '.join(places)}"
            )
        return np.array([at[_name(each)] for each in places], np.int64)[log.positions]
    if len(lines) > 1:
        raise LogError(f'{path}: several lines need "id" or "position" to tell what they are for')
    return single(len(log))


def _by_name(path: Path, rows: Rows, field: str) -> dict[str, int]:
    """The place of each row by what it is for."""
    at: dict[str, int] = {}
    for place, (line, row) in enumerate(rows):
        name = _name(row[field]) if field == "position" else str(row[field])
        if at.setdefault(name, place) != place:
            raise ReaderError(f"{path}: line {line} says {field} {row[field]!r} again")
    return at


def _name(position: Any) -> str:
    """One name however a number is written."""
    number = as_number(position)
    return str(position) if isnan(number) else f"{number:g}"


def context(rows: Sequence[Mapping[str, Any]]) -> Floats:
    """[n, d]: numbers, set to a mean of 0 and a deviation of 1, and a column for each frequent word of a field."""
    columns: list[Floats] = []
    for name in sorted({name for row in rows for name in row}):
        values = [row.get(name) for row in rows]
        numbers = np.array([as_number(value) for value in values])
        if np.isfinite(numbers).all():
            if np.abs(numbers).max() >= MOST:
                raise LogError(f"{name} of the context is {numbers[np.abs(numbers).argmax()]:g}: too large a number")
            spread = numbers.std()
            if spread > 0:
                columns.append((numbers - numbers.mean()) / spread)
            continue
        texts = [str(value) for value in values]
        # The most frequent is the rest, or the columns would sum to the intercept.
        for word, _ in sorted(Counter(texts).items(), key=lambda pair: (-pair[1], pair[0]))[1 : _WORDS + 1]:
            columns.append(np.array([text == word for text in texts], np.float64))
    return np.column_stack(columns) if columns else np.zeros((len(rows), 0))


def _context(row: Mapping[str, Any]) -> Mapping[str, Any]:
    told = row.get("context")
    if isinstance(told, dict):
        return told
    if isinstance(told, list):
        return {f"{at:04d}": value for at, value in enumerate(told)}
    return {name: value for name, value in row.items() if name.startswith(_CONTEXT)}


def _scores(path: Path, rows: Rows) -> dict[str, Floats]:
    found = {}
    for column in [name for name in rows[0][1] if name == "score" or name.startswith("score_")]:
        values = np.array([as_number(row.get(column)) for _, row in rows])
        if not np.isfinite(values).all():
            at = rows[int(np.flatnonzero(~np.isfinite(values))[0])][0]
            raise ReaderError(f"{path}: line {at}: {column} is no number")
        found[column.removeprefix("score_")] = values
    return found


def _probabilities(path: Path, rows: Rows) -> list[dict[str, float]]:
    """Of every round, or empty if none has them."""
    if all(row.get("probabilities") is None for _, row in rows):
        return []
    return [reading.probabilities(path, line, row, _EXACT) for line, row in rows]


def _offered(
    path: Path,
    rows: Rows,
    told: Sequence[Mapping[str, float]],
    place: Mapping[str, int],
    logged: tuple[Ints, Floats],
) -> Floats:
    """[n, K]: the logging policy's probabilities; ``logged``: actions and propensities."""
    table = np.zeros((len(rows), len(place)))
    for at, each in enumerate(told):
        for name, p in each.items():
            table[at, place[name]] = p
    actions, propensities = logged
    own = table[np.arange(len(rows)), actions]
    wrong = np.flatnonzero(np.abs(own - propensities) > _EXACT)
    if len(wrong):
        at = int(wrong[0])
        raise ReaderError(
            f"{path}: line {rows[at][0]}: propensity is {propensities[at]:.9g}, but the probabilities say "
            f"{own[at]:.9g} of the action"
        )
    return table


def _users(told: Sequence[Any]) -> Ints:
    """[n]: dense from 0, first those that are named; a round that names none is of one of its own."""
    named, _ = _dense([str(each) for each in told if each is not None])
    found = np.empty(len(told), np.int64)
    blank = np.array([each is None for each in told])
    found[~blank] = named
    found[blank] = np.arange(blank.sum()) + (int(named.max()) + 1 if len(named) else 0)
    return found


def _dense(values: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    """[n]: the place of each among the different ones, and those in order."""
    names = tuple(sorted(set(values), key=natural))
    place = {value: at for at, value in enumerate(names)}
    return np.array([place[value] for value in values], np.int64), names
