"""Rounds of inputs, each made from the seed and its number alone, so that any can be made again by itself."""

from __future__ import annotations

import tempfile
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from tests.fuzz import files, intake, replicas
from tests.fuzz.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TARGETS: Final = ("records", "replicas", "files")
"""What is fuzzed: inbound records, what workers read from topics of ours, files."""

SHARES: Final[Mapping[str, int]] = {"records": 80, "replicas": 15, "files": 5}
"""Of a hundred inputs."""

_SHOWN: Final = 25


@dataclass(frozen=True, slots=True)
class Finding:
    """A round that broke a promise or raised."""

    target: str
    number: int
    what: str
    trace: str


@dataclass
class Run:
    """What all rounds gave together."""

    tally: Tally = field(default_factory=Tally)
    findings: list[Finding] = field(default_factory=list)


def rounds(seed: int, inputs: int, target: str = "") -> Iterator[Run]:
    """Run rounds until ``inputs`` were given in all, or to one target, or there are too many findings.

    Yields the run so far, after each round.
    """
    run = Run()
    given = dict.fromkeys([target] if target else TARGETS, 0)
    numbers = dict.fromkeys(given, 0)
    with tempfile.TemporaryDirectory() as folder:
        play = _player(Path(folder))
        while sum(given.values()) < inputs and len(run.findings) < _SHOWN:
            chosen = min(given, key=lambda name: given[name] / SHARES[name])
            before = run.tally.inputs
            _one(run, play, seed, chosen, numbers[chosen])
            given[chosen] += max(1, run.tally.inputs - before)
            numbers[chosen] += 1
            yield run


def one(seed: int, target: str, number: int) -> Run:
    """One round again."""
    run = Run()
    with tempfile.TemporaryDirectory() as folder:
        _one(run, _player(Path(folder)), seed, target, number)
    return run


def _player(folder: Path) -> Mapping[str, Callable[[Random, Tally], None]]:
    good = replicas.Good()
    return {
        "records": intake.round_of,
        "replicas": lambda rng, tally: replicas.round_of(rng, tally, good),
        "files": lambda rng, tally: files.round_of(rng, tally, folder),
    }


def _one(run: Run, play: Mapping[str, Callable[[Random, Tally], None]], seed: int, target: str, number: int) -> None:
    try:
        with warnings.catch_warnings():
            # numpy only warns of what is no number.
            warnings.simplefilter("error", RuntimeWarning)
            play[target](Random(f"{seed}/{target}/{number}"), run.tally)
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is what is looked for
        what = f"{type(error).__name__}: {'; '.join(map(str, error.args))}"
        run.findings.append(Finding(target, number, what, traceback.format_exc()))
