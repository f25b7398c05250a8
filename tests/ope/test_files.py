"""Logged bandit feedback from files, and policies as files."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.ope.files import context, read_log, read_target
from streamer.ope.log import LogError
from streamer.readers.source import ReaderError

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS: list[dict[str, Any]] = [
    {"id": "r1", "user": "ann", "action": "b", "reward": 1, "propensity": 0.5, "position": 1, "context": {"age": 30}},
    {"id": "r2", "user": "bob", "action": "a", "reward": 0, "propensity": 0.25, "position": 2, "context": {"age": 50}},
    {"id": "r3", "user": "ann", "action": "a", "reward": 0, "propensity": 0.5, "position": 1, "context": {"age": 40}},
]


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_json_lines_and_csv_and_gzip_say_the_same(tmp_path: Path):
    """The same rounds, three ways."""
    plain = read_log(lines(tmp_path / "log.jsonl", ROUNDS))
    text = "id,user,action,reward,propensity,position,context_age\n" + "".join(
        f"{r['id']},{r['user']},{r['action']},{r['reward']},{r['propensity']},{r['position']},{r['context']['age']}\n"
        for r in ROUNDS
    )
    (tmp_path / "log.csv").write_text(text)
    (tmp_path / "log.csv.gz").write_bytes(gzip.compress(text.encode()))
    for other in (read_log(tmp_path / "log.csv"), read_log(tmp_path / "log.csv.gz")):
        for name in ("users", "actions", "rewards", "propensities", "positions", "context"):
            assert np.array_equal(getattr(other, name), getattr(plain, name)), name
        assert (other.names, other.ids) == (plain.names, plain.ids) == (("a", "b"), ("r1", "r2", "r3"))
    assert plain.users.tolist() == [0, 1, 0]
    assert plain.positions.tolist() == [0, 1, 0]


def test_without_users_every_round_stands_for_itself(tmp_path: Path):
    """Nothing hangs together that the log does not say hangs together."""
    rows = [{name: row[name] for name in ("action", "reward", "propensity")} for row in ROUNDS]
    assert read_log(lines(tmp_path / "log.jsonl", rows)).users.tolist() == [0, 1, 2]


def test_users_are_also_found_under_user_id(tmp_path: Path):
    """The name that events have."""
    rows = [{**row, "user_id": row["user"]} for row in ROUNDS]
    for row in rows:
        del row["user"]
    assert read_log(lines(tmp_path / "log.jsonl", rows)).users.tolist() == [0, 1, 0]


def test_words_of_the_context_become_columns_and_numbers_are_set_to_one_scale():
    """The most frequent word is the rest; a number's mean is 0 and its deviation 1."""
    table = context([{"age": 1.0, "city": "x"}, {"age": 3.0, "city": "y"}, {"age": 2.0, "city": "x"}])
    assert table.shape == (3, 2)
    assert table[:, 0].mean() == pytest.approx(0)
    assert table[:, 0].std() == pytest.approx(1)
    assert table[:, 1].tolist() == [0, 1, 0]


def test_the_logging_policy_s_probabilities_name_actions_that_were_never_taken(tmp_path: Path):
    """They were possible, so they count as supported."""
    rows = [{**row, "probabilities": {"a": 0.25, "b": 0.5, "c": 0.25}} for row in ROUNDS]
    log = read_log(lines(tmp_path / "log.jsonl", rows))
    assert log.names == ("a", "b", "c")
    possible, row = log.possible()
    assert possible[row].all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"propensity": None}, "line 2 has no propensity"),
        ({"reward": "much"}, "line 2: reward is 'much'"),
        ({"propensity": 0}, "round 2 has propensity 0"),
    ],
)
def test_a_round_that_lacks_what_it_needs_is_named(tmp_path: Path, change: dict[str, Any], words: str):
    """By the file's line."""
    rows = [ROUNDS[0], ROUNDS[1] | change]
    with pytest.raises((LogError, ReaderError), match=words):
        read_log(lines(tmp_path / "log.jsonl", rows))


def test_a_filter_that_leaves_nothing_says_so(tmp_path: Path):
    """With the filter in the message."""
    with pytest.raises(LogError, match="where user=eve"):
        read_log(lines(tmp_path / "log.jsonl", ROUNDS), [("user", "eve")])


def test_a_policy_by_round_by_position_and_for_all(tmp_path: Path):
    """Three ways to say it."""
    log = read_log(lines(tmp_path / "log.jsonl", ROUNDS))

    def of(*rows: dict[str, Any]) -> list[list[float]]:
        target = read_target(lines(tmp_path / "policy.jsonl", list(rows)), log)
        found: list[list[float]] = target.table[target.rows].tolist()
        return found

    one, two = {"a": 1.0}, {"a": 0.25, "b": 0.75}
    assert of({"probabilities": two}) == [[0.25, 0.75]] * 3
    by_place = of({"position": 2, "probabilities": two}, {"position": 1, "probabilities": one})
    assert by_place == [[1, 0], [0.25, 0.75], [1, 0]]
    by_round = of(*({"id": f"r{n}", "probabilities": p} for n, p in ((3, two), (2, one), (1, one))))
    assert by_round == [[1, 0], [1, 0], [0.25, 0.75]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"probabilities": {"z": 1.0}}], "takes z, which the log never has"),
        ([{"probabilities": {"a": 0.5}}], "sum of 1"),
        ([{"id": "r1", "probabilities": {"a": 1.0}}], "2 rounds have no line, the first is r2"),
        ([{"position": 1, "probabilities": {"a": 1.0}}], "has 1 positions, the log has 2"),
        ([{"probabilities": {"a": 1.0}}, {"probabilities": {"b": 1.0}}], 'need "id" or "position"'),
        ([{"p": 1}], 'needs "probabilities"'),
    ],
)
def test_a_policy_that_does_not_fit_the_log_is_refused(tmp_path: Path, rows: list[dict[str, Any]], words: str):
    """Each misfit in its own words."""
    log = read_log(lines(tmp_path / "log.jsonl", ROUNDS))
    with pytest.raises(LogError, match=words):
        read_target(lines(tmp_path / "policy.jsonl", rows), log)
