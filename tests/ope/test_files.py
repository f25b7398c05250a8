"""Logged bandit feedback from files, and policies as files."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.ope.files import context, read_log, read_target
from streamer.ope.judge import judge
from streamer.ope.log import LogError
from streamer.ope.policies import always, threshold
from streamer.ope.policies import random as at_random
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
    rows = [{**row, "propensity": 0.375, "probabilities": {"a": 0.375, "b": 0.375, "c": 0.25}} for row in ROUNDS]
    log = read_log(lines(tmp_path / "log.jsonl", rows))
    assert log.names == ("a", "b", "c")
    possible, row = log.possible()
    assert possible[row].all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"propensity": None}, "line 2 has no propensity"),
        ({"reward": "much"}, "line 2: reward is 'much'"),
        ({"reward": None}, "line 2 has no reward"),
        ({"reward": float("nan")}, "line 2: reward is nan"),
        ({"reward": [1]}, r"line 2: reward is \[1\]"),
        ({"reward": 10**400}, "line 2: reward is 1000"),
        ({"reward": 1e200}, r"line 2: reward is 1e\+200, which is no number below 1e\+15"),
        ({"propensity": 0}, "line 2: propensity is 0"),
        ({"propensity": 1e-200}, "line 2: propensity is 1e-200"),
        ({"propensity": "nan"}, "line 2: propensity is 'nan'"),
        ({"action": ["a"]}, r"line 2: action is \['a'\]"),
        ({"context": {"age": 1e300}}, "age of the context is 1e\\+300"),
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
        ([{"id": "r1", "probabilities": {"a": 1.0}}, {"id": "r2"}], 'line 2 needs "probabilities"'),
        ([{"probabilities": {"a": float("nan"), "b": 1.0}}], "line 1: the probability of a is nan"),
        ([{"probabilities": {"a": None, "b": 1.0}}], "line 1: the probability of a is None"),
        ([{"probabilities": {"a": "0.5", "b": 0.5}}], "line 1: the probability of a is '0.5'"),
        (
            [{"position": "top", "probabilities": {"a": 1.0}}, {"position": 2, "probabilities": {"a": 1.0}}],
            "line 1: position is 'top', the log has 1, 2",
        ),
        (
            [{"position": 7, "probabilities": {"a": 1.0}}, {"position": 9, "probabilities": {"a": 1.0}}],
            "line 1: position is 7, the log has 1, 2",
        ),
        (
            [{"position": 1, "probabilities": {"a": 1.0}}, {"position": "1.0", "probabilities": {"b": 1.0}}],
            "line 2 says position '1.0' again",
        ),
        (
            [{"id": "r1", "probabilities": {"a": 1.0}}, {"id": "r1", "probabilities": {"a": 1.0}}],
            "line 2 says id 'r1' again",
        ),
    ],
)
def test_a_policy_that_does_not_fit_the_log_is_refused(tmp_path: Path, rows: list[dict[str, Any]], words: str):
    """Each misfit in its own words."""
    log = read_log(lines(tmp_path / "log.jsonl", ROUNDS))
    with pytest.raises((LogError, ReaderError), match=words):
        read_target(lines(tmp_path / "policy.jsonl", rows), log)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"a": 0.0, "b": 7}, "line 2: the probability of b is 7"),
        ({"a": "x", "b": 0.5}, "line 2: the probability of a is 'x'"),
        ({"a": True, "b": 0.5}, "line 2: the probability of a is True"),
        ({"a": 0.25, "b": 0.74999}, "line 2: the probabilities are not at least 0 with a sum of 1"),
        ({"a": 0.3, "b": 0.7}, "line 2: propensity is 0.25, but the probabilities say 0.3 of the action"),
        ({"b": 1.0}, "line 2: propensity is 0.25, but the probabilities say 0 of the action"),
        (None, 'line 2 needs "probabilities"'),
    ],
)
def test_probabilities_that_cannot_be_those_of_the_log_are_refused_with_the_line(tmp_path: Path, told: Any, words: str):
    """They sum to 1 within a millionth, have that of the action as its propensity, and either all rounds have them."""
    rows = [ROUNDS[0] | {"probabilities": {"a": 0.5, "b": 0.5}}, ROUNDS[1] | {"probabilities": told}]
    with pytest.raises(ReaderError, match=words):
        read_log(lines(tmp_path / "log.jsonl", rows))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("action,reward,propensity\na,1,0.5\n\nb,0,0.5,extra\n", "line 4 has more cells than the header has, by 1"),
        ('action,reward,propensity\n"a\nb",1,0.5\nb,0,x\n', "line 4: propensity is 'x'"),
        ("action,reward,propensity\na,1\n", "line 2 has no propensity"),
        ("action,reward,propensity\n" + "a" * 200_000 + ",1,1\n", "line 2 is no CSV"),
        ('[{"action": "a"}]', "is a JSON array; read are JSON lines.* and CSV"),
        ('\ufeff [{"action": "a"}]', "is a JSON array"),
        ('{"action": "a",\n "reward": 1}', "line 1 is not JSON .*; read are JSON lines"),
        ("PAR1\0\1", "is a Parquet file; read are JSON lines"),
        ("\0\1\2", "is no text; read are"),
    ],
)
def test_what_is_no_file_of_rounds_is_refused_with_what_is_read(tmp_path: Path, text: str, words: str):
    """By what it holds, and of a bad row by its line, also behind one that takes two."""
    path = tmp_path / "log"
    path.write_bytes(text.encode())
    with pytest.raises(ReaderError, match=words):
        read_log(path)


def test_json_lines_that_begin_with_a_byte_order_mark_are_json_lines(tmp_path: Path):
    """As Windows writes them."""
    path = lines(tmp_path / "log.jsonl", ROUNDS)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_log(path)) == 3


@pytest.mark.parametrize("blank", ["", None])
def test_rounds_that_do_not_tell_their_user_are_each_of_a_user_of_its_own(tmp_path: Path, blank: str | None):
    """They do not hang together by that; those that do are one user's still."""
    rows = [ROUNDS[0], ROUNDS[1] | {"user": blank}, ROUNDS[2], ROUNDS[1] | {"user": blank, "id": "r4"}]
    assert read_log(lines(tmp_path / "log.jsonl", rows)).users.tolist() == [0, 1, 0, 2]
    text = "action,reward,propensity,user\n" + "".join(
        f"{r['action']},{r['reward']},{r['propensity']},{r['user'] or ''}\n" for r in rows
    )
    (tmp_path / "log.csv").write_text(text)
    assert read_log(tmp_path / "log.csv").users.tolist() == [0, 1, 0, 2]


def test_positions_are_told_apart_where_one_is_0_and_may_be_words(tmp_path: Path):
    """0 is a position and not the lack of one; a policy names them as the log does."""
    rows = [ROUNDS[0] | {"position": at} for at in (0, 1, 0)]
    assert read_log(lines(tmp_path / "log.jsonl", rows)).positions.tolist() == [0, 1, 0]
    log = read_log(lines(tmp_path / "log.jsonl", [ROUNDS[0] | {"position": at} for at in ("top", "low")] + [ROUNDS[1]]))
    policy = [
        {"position": at, "probabilities": {"a": p, "b": 1 - p}} for at, p in ((2, 0.1), ("top", 0.3), ("low", 0.2))
    ]
    target = read_target(lines(tmp_path / "policy.jsonl", policy), log)
    assert target.table[target.rows][:, 0].tolist() == [0.3, 0.2, 0.1]


def test_a_log_that_leaves_nothing_to_chance_says_nothing_of_what_it_did_not_do(tmp_path: Path):
    """A rule that pushes from a score on: below it nobody knows, though pushes and holds were both seen."""
    random = np.random.Generator(np.random.PCG64(1))
    rows = []
    for score in random.random(4000).tolist():
        sent = score >= 0.5
        reward = int(sent and random.random() < 0.1 + 0.3 * score)
        rows.append({"action": "send" if sent else "hold", "reward": reward, "propensity": 1.0, "score": score})
    log = read_log(lines(tmp_path / "log.jsonl", rows))
    always_sent, evenly, same = judge(log, [always(log, "send"), at_random(log), threshold(log, 0.5)], replicates=20)[
        "policies"
    ]
    assert always_sent["support"]["share"] == pytest.approx(0.5, abs=0.03)
    assert "never possible in the log; most of it: send (" in always_sent["refused"][0]
    assert "never possible" in evenly["refused"][0]
    assert same["refused"] == []
    assert same["estimates"]["ips"]["value"] == pytest.approx(log.rewards.mean())
