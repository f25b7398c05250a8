"""The command: what it refuses to take, what it tells of each policy, and how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streamer.cli import ope as command
from streamer.cli.main import _run
from streamer.core.policy.experiments import Splits
from streamer.core.settings import PolicySettings
from streamer.ope.chances import Chances
from streamer.ope.decisions import ANY_TIME, DAY_MS, Decided, Told
from tests.ope.test_decisions import T0, outcome

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def log(tmp_path: Path) -> str:
    """600 rounds, half of them sent, a third rewarded."""
    rows = [
        {"action": "send" if n % 2 else "hold", "reward": int(n % 3 == 0), "propensity": 0.5, "score": n % 7 / 7}
        for n in range(600)
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--window", "nan"], 2, "not a finite number"),
        (["--window", "inf"], 2, "not a finite number"),
        (["--level", "nan"], 2, "not a finite number"),
        (["--clip", "nan"], 2, "not a finite number"),
        (["--effective", "nan"], 2, "not a finite number"),
        (["--reward", "clicked"], 2, "--reward is of the topics; of a file, choose by --where"),
        (["--from", "7d"], 2, "--from is of the topics"),
        (["--where", "action"], 2, "--where action: write COLUMN=VALUE"),
        (["--policy", "threshold:nan"], 1, "a threshold is a number, not nan"),
        (["--policy", "threshold:score:nan"], 1, "a threshold is a number, not nan"),
        (["--policy", "file:nowhere.jsonl"], 1, "nowhere.jsonl: No such file"),
    ],
)
def test_what_is_no_number_or_no_file_is_refused_in_a_line(log: str, capsys, more: list[str], code: int, words: str):
    """NaN lies in every range, as every comparison with it is false."""
    assert _run(["ope", log, *more]) == code
    assert words in capsys.readouterr().err


def test_a_file_that_cannot_be_read_ends_the_command_as_other_errors_do(tmp_path: Path, capsys):
    """Exit code 1 and the line, neither a traceback nor a table of nan."""
    path = tmp_path / "log.jsonl"
    row = {"action": "a", "reward": 1e200, "propensity": 0.5}
    path.write_text(json.dumps(row))
    assert _run(["ope", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"Error: {path}: line 1: reward is 1e+200")


def test_what_counts_the_same_is_said_and_goes_into_the_report(log: str, tmp_path: Path, capsys):
    """By rounds unless told."""
    for weigh in ("rounds", "users"):
        report = tmp_path / f"{weigh}.json"
        assert _run(["ope", log, "--weigh", weigh, "--replicates", "20", "--json", str(report)]) == 0
        assert ("the mean over users" in capsys.readouterr().out) == (weigh == "users")
        assert json.loads(report.read_text())["weigh"] == weigh


def test_of_one_log_the_whole_report_tells_what_each_policy_does(log: str, tmp_path: Path):
    """As ever, and beside each policy once more."""
    report = tmp_path / "report.json"
    assert _run(["ope", log, "--policy", "random", "--replicates", "20", "--json", str(report)]) == 0
    found = json.loads(report.read_text())
    (policy,) = found["policies"]
    assert found["rounds"] == policy["rounds"] == 600
    assert found["logged"] == policy["logged"]
    assert "logs" not in found


def reports() -> list[dict[str, Any]]:
    """Of 400 shoppers, half of them in an experiment, and policies of it and of all."""
    found = Told(last_ms=T0 + 9 * DAY_MS)
    for n in range(400):
        arms = (f"size:{'big' if n % 4 else 'small'}",) if n < 200 else ()
        reason = "sent" if n % 5 else "low_score"
        row = Decided(f"browse:{n}", "next", reason, f"e{n}", f"c{n}", 0.5, x=arms, v="other")
        found.decide(f"user-{n}", 0, row)
        found.times["browse", 0, n] = T0 + n
        if reason == "sent" and n % 2:
            found.add(outcome("push_clicked", n, 1000))
    chances = Chances(Splits(PolicySettings()), {"next": 0.0}, version="mine")
    named = ["always:hold", "arm:size=small", "arm:size=big"]
    logs = command.joined_by_log(
        found, chances, named, choice="push", reward="clicked", window_ms=DAY_MS, between=ANY_TIME
    )
    how = {"seed": 1, "replicates": 20, "needed": 20.0}
    return [command.report_of(joined, these, how) for joined, these in logs]


def test_policies_that_are_judged_on_other_rounds_are_told_so_each(capsys):
    """Everybody in an arm is judged by whom the experiment has, the others by all."""
    made = reports()
    found = command.together(made)
    told = {one["policy"]: (one["rounds"], one["left_out"], one["logged"]["value"]) for one in found["policies"]}
    away = {"not in the experiment": 200}
    assert told["always:hold"] == (400, {}, pytest.approx(0.4))
    assert told["arm:size=big"] == told["arm:size=small"] == (200, away, pytest.approx(0.4))
    assert [log["rounds"] for log in found["logs"]] == [400, 200]
    assert "rounds" not in found
    command.show(made)
    printed = capsys.readouterr().out
    first, second = printed.index("400 rounds of 400 users"), printed.index("200 rounds of 200 users")
    assert first < printed.index("always:hold:") < second < printed.index("arm:size=small:")


def test_decisions_of_another_policy_version_are_told_of(capsys):
    """What these settings cannot vouch for; of arms nothing hangs on them."""
    made = reports()
    assert [len(report["notes"]) for report in made] == [1, 0]
    command.show(made)
    assert "400 of 400 decisions have another policy version (other)" in capsys.readouterr().out
