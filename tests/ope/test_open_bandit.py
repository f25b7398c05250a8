"""The Open Bandit Dataset, judged by us and by the Open Bandit Pipeline."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from streamer.ope import estimators
from streamer.ope.files import read_log, read_target
from streamer.ope.judge import judge
from streamer.ope.log import Log, Target, single
from streamer.ope.policies import random as at_random
from tests.ope.bandit import CAMPAIGNS, DATA, FILE, expected, rounds

GOLDEN = json.loads((DATA / "golden.json").read_text())
CASES = [(campaign, policy) for campaign in CAMPAIGNS for policy in ("random", "bts")]


def log_of(campaign: str, policy: str) -> Log:
    return read_log(FILE, [("campaign", campaign), ("policy", policy)])


def target_of(campaign: str, log: Log, policy: str) -> Target:
    """The policy that was not logged."""
    return read_target(DATA / f"bts_{campaign}.jsonl", log) if policy == "random" else at_random(log)


def ours(campaign: str, policy: str) -> dict[str, float]:
    log = log_of(campaign, policy)
    target = target_of(campaign, log, policy)
    model = expected(CAMPAIGNS[campaign])
    taken = model[log.actions, log.positions]
    by_target = (target.table[target.rows] * model.T[log.positions]).sum(axis=1)
    rows = estimators.columns(
        log, estimators.weights(log, target), estimators.settled(log, target), (taken, by_target), np.inf
    )
    return dict(zip(estimators.NAMES, estimators.values(rows.sum(axis=0)).tolist(), strict=False))


@pytest.mark.parametrize(("campaign", "policy"), CASES)
def test_estimates_are_those_that_obp_gave(campaign, policy):
    """Figures of obp 0.4.1, written by ``python -m tests.ope.golden_obp``; the reward model is the same made-up one."""
    golden = GOLDEN[campaign]["random judges bts" if policy == "random" else "bts judges random"]
    found = ours(campaign, policy)
    for name, figure in golden.items():
        assert found[name] == pytest.approx(figure, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize(("campaign", "policy"), CASES)
def test_estimates_are_those_that_obp_gives_where_it_is_installed(campaign, policy):
    """The same, asked of obp now."""
    pytest.importorskip("obp", reason="obp is not installed (0.4.1 installs on Python 3.11, and brings PyTorch)")
    from tests.ope.golden_obp import estimates

    items = CAMPAIGNS[campaign]
    if policy == "random":
        lines = [
            json.loads(line)["probabilities"] for line in (DATA / f"bts_{campaign}.jsonl").read_text().splitlines()
        ]
        table = np.array([[line[str(item)] for line in lines] for item in range(items)])
    else:
        table = np.full((items, 3), 1 / items)
    found = ours(campaign, policy)
    for name, figure in estimates(rounds(campaign, policy), table).items():
        assert found[name] == pytest.approx(figure, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize(("campaign", "policy"), CASES)
def test_plain_sums_over_the_file_give_the_same(campaign, policy):
    """Horvitz and Thompson's and the self-normalised sum in a loop over rows that our reader has not seen."""
    log = rounds(campaign, policy)
    items = CAMPAIGNS[campaign]
    lines = [json.loads(line)["probabilities"] for line in (DATA / f"bts_{campaign}.jsonl").read_text().splitlines()]
    total = weights = 0.0
    for item, position, click, propensity in zip(*log, strict=True):
        w = (lines[position][str(item)] if policy == "random" else 1 / items) / propensity
        total += w * click
        weights += w
    found = ours(campaign, policy)
    assert found["ips"] == pytest.approx(total / len(log.item), rel=1e-9)
    assert found["snips"] == pytest.approx(total / weights, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("campaign", "policy"), [case for case in CASES if case != ("women", "bts")])
def test_each_log_s_interval_of_the_other_policy_overlaps_what_that_policy_earned(campaign, policy):
    """What the other policy earned when it was used itself is known, as far as some fifty clicks tell."""
    log = log_of(campaign, policy)
    report = judge(log, [target_of(campaign, log, policy)], replicates=400)
    other = judge(log_of(campaign, "bts" if policy == "random" else "random"), [], replicates=400)["logged"]
    (found,) = report["policies"]
    assert found["refused"] == []
    for name in ("ips", "snips", "clipped", "dr"):
        each = found["estimates"][name]
        assert each["low"] <= other["high"], name
        assert each["high"] >= other["low"], name


def test_a_log_with_a_propensity_of_a_millionth_is_refused_for_the_uniform_policy():
    """One impression of ten thousand would carry most of the weight; obp answers all the same, with a rate below 0."""
    log = log_of("women", "bts")
    (found,) = judge(log, [at_random(log)], replicates=50)["policies"]
    assert found["support"]["effective_rounds"] < 3
    assert found["support"]["largest_share"] > 0.6
    assert "too little support" in found["refused"][0]
    assert "estimates" not in found
    assert GOLDEN["women"]["bts judges random"]["dr"] < 0


def test_the_file_s_own_policy_file_needs_no_column_of_the_dataset_renamed():
    """Names as in the dataset; words of the context become columns, and positions begin at 0."""
    log = log_of("men", "random")
    assert log.names == tuple(map(str, range(34)))
    assert sorted(set(log.positions.tolist())) == [0, 1, 2]
    assert log.context.shape == (10_000, (3 - 1) + (5 - 1) + (9 - 1) + (8 - 1))
    assert (single(3) == 0).all()


@pytest.mark.slow
def test_the_command_answers_with_the_figures_and_refuses_with_exit_code_3(tmp_path):
    """As a shell sees it; the report is the one that is printed."""
    command = [sys.executable, "-m", "streamer.cli.main", "ope", str(FILE), "--replicates", "50"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMER_")}

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, env=environment)

    report = tmp_path / "report.json"
    which = ("--where", "campaign=men", "--where", "policy=random")
    done = run(*which, "--policy", f"file:{DATA / 'bts_men.jsonl'}", "--json", str(report))
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(report.read_text())["policies"]
    assert found["estimates"]["ips"]["value"] == pytest.approx(GOLDEN["men"]["random judges bts"]["ips"])
    assert f"{found['estimates']['ips']['value']:.6g}" in done.stdout
    refused = run("--where", "campaign=women", "--where", "policy=bts", "--policy", "random")
    assert refused.returncode == 3
    assert "too little support" in refused.stdout
    unknown = run(*which, "--policy", "always:99")
    assert unknown.returncode == 1
    assert "no action '99'" in unknown.stderr
    assert run(*which, "--policy", "sometimes").returncode == 2
