"""A short run of the fuzzer, and the fuzzer itself: it makes the same inputs again, and it finds what is planted."""

from __future__ import annotations

from random import Random

import pytest

from streamer.core import encode, intake, parse
from streamer.core.events import REJECTIONS
from tests.fuzz.records import make
from tests.fuzz.run import SHARES, TARGETS, one, rounds


@pytest.mark.parametrize("target", TARGETS)
def test_whatever_comes_in_is_accounted_for_and_nothing_raises(target: str) -> None:
    """Some thousand inputs; ``make fuzz`` gives a million."""
    *_, run = rounds(seed=2026, inputs=60 * SHARES[target], target=target)
    assert not run.findings, run.findings[0].trace
    assert run.tally.inputs >= 60 * SHARES[target]


def test_a_round_is_made_again_from_its_seed_and_number() -> None:
    """So that a finding can be looked at."""
    assert list(make(Random("7"), 300, 1)) == list(make(Random("7"), 300, 1))
    assert one(5, "records", 3).tally == one(5, "records", 3).tally
    assert one(5, "records", 3).tally != one(6, "records", 3).tally


@pytest.mark.slow
def test_inputs_reach_every_outcome() -> None:
    """A fuzzer whose inputs are all refused for the first reason would find nothing behind it."""
    *_, run = rounds(seed=1, inputs=6000, target="records")
    outcomes = set(run.tally.by_outcome())
    rare = {"too_many_lines", "handler_error"}
    assert {"event", "re-keyed", "preferences unsaid"} <= outcomes
    assert {reason for reason in REJECTIONS if f"dead letter: {reason}" not in outcomes} <= rare


def test_a_bug_in_the_parser_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that nobody thought of ends as ``handler_error``, which is a finding."""

    def raises(value: object) -> object:
        raise LookupError(value)

    monkeypatch.setattr(parse, "_preferences", raises)
    assert "no fault of ours" in one(1, "records", 0).findings[0].what


def test_a_record_lost_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every record ends as one of three."""
    kept = intake._refuse
    monkeypatch.setattr(intake, "_refuse", lambda *given: None if given[2] == "empty" else kept(*given))
    assert "every record ends" in one(1, "records", 0).findings[0].what


def test_a_dead_letter_beyond_the_broker_s_limit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stop its task for ever."""
    monkeypatch.setattr(encode, "DEAD_LETTER_WHOLE_BYTES", 1 << 22)
    found = next(run.findings for run in rounds(1, 40_000, "records") if run.findings)
    assert "fits the broker" in found[0].what
