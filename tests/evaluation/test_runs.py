"""Whole runs: ablation, comparison, other models, the page, and no look ahead."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np
import pytest

from streamer.core.features import FEATURES
from streamer.core.settings import CoreSettings
from streamer.evaluation.ablate import ablate, families, without
from streamer.evaluation.compare import against, read_outcomes
from streamer.evaluation.page import page
from streamer.evaluation.ranker import RankerQuality
from streamer.evaluation.report import predicted, ranked
from streamer.evaluation.run import Run, evaluate
from streamer.evaluation.settings import EvaluateSettings
from tests.evaluation.shop import event, shop

if TYPE_CHECKING:
    from streamer.core.rank import Ranked

SETTINGS = EvaluateSettings(baselines="popularity,blend", replicates=50)


def full():
    return evaluate(shop(), SETTINGS, outcomes=True)


def test_the_second_list_is_judged_by_what_is_new_alone():
    report = full()
    new = sum(
        event.lines[0].key not in {e.lines[0].key for e in shop()[:at] if e.user == event.user}
        for at, event in enumerate(shop())
        if any(e.user == event.user for e in shop()[:at])
    )
    assert 0 < new < report.targets
    assert report.discover.targets == new
    assert report.discover.metrics["hr@20"] == report.discover.metrics["hr@20_new"] >= report.metrics["hr@20_new"]
    assert set(report.discover.baselines) == {"popularity", "blend"}


@pytest.mark.slow
def test_an_ablation_is_the_run_with_the_family_switched_off():
    report = full()
    assert report.outcomes is not None
    found = ablate(shop, SETTINGS, report.outcomes, ["recent", "item"])
    alone = evaluate(shop(), without(SETTINGS, "recent"))
    assert found["recent"].digest == alone.digest != report.digest
    assert found["recent"].next["mrr@20"][0] == pytest.approx(
        report.metrics["mrr@20"] - alone.metrics["mrr@20"], abs=2e-6
    )
    assert without(SETTINGS, "item").core.retrieval.without == ()
    assert {f.group for f in FEATURES} <= set(families())
    with pytest.raises(ValueError, match="no family 'nonsense'"):
        without(SETTINGS, "nonsense")


def test_a_run_is_compared_with_its_own_report_as_equal(tmp_path):
    report = full()
    kept = tmp_path / "kept.json"
    kept.write_bytes(msgspec.json.encode(report))
    assert report.outcomes is not None
    found = against(report.outcomes, read_outcomes(kept), 50)
    assert all(each == (0.0, 0.0, 0.0) for part in found.values() for each in part.values())
    kept.write_text(json.dumps({"metrics": {}}))
    with pytest.raises(ValueError, match="without outcomes"):
        read_outcomes(kept)


def test_a_classifier_of_rivers_can_rank_and_learns():
    taught = evaluate(shop(), EvaluateSettings(baselines="none", model="linear_model.LogisticRegression"))
    assert taught.model == "linear_model.LogisticRegression"
    assert 0.0 < taught.ranker["logloss"] < 0.69  # what it is before anything was learned: half for everything
    assert taught.ranker["auc"] > 0.5


@pytest.mark.parametrize("name", ["nonsense", "linear_model.Nonsense", "linear_model.LinearRegression"])
def test_what_is_no_classifier_is_refused(name):
    with pytest.raises(ValueError, match=r"River|classifier"):
        EvaluateSettings(model=name)


class _Page(HTMLParser):
    """Collects what a page would fetch and which tags are left open."""

    def __init__(self):
        super().__init__()
        self.links, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href", "srcset", "data"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing():
    found = msgspec.to_builtins(full())
    found["ablation"] = {
        "recent": {kind: dict.fromkeys(found["metrics"], (0.1, 0.05, 0.2)) for kind in ("next", "discover")}
    }
    text = page(found, "<shop>.csv")
    parsed = _Page()
    parsed.feed(text)
    assert (parsed.links, parsed.open) == ([], [])
    assert "&lt;shop&gt;.csv" in text
    assert not re.search(r"url\(|@import|<script|nan|inf\b", text)
    assert text.count("<svg") == 10
    assert found["importance"]["champion"]
    assert "What the models look at" in text


def test_a_page_of_nothing_is_a_page():
    assert "Nothing to show" in page(msgspec.to_builtins(evaluate([], SETTINGS)), "empty.csv")


def test_a_ranker_that_nobody_can_judge_has_no_figures_rather_than_zeros():
    """Without a list of which something was taken up; and an AUC needs rows that differ."""
    nothing = evaluate([], SETTINGS)
    assert {nothing.ranker[name] for name in ("logloss", "auc", "calibration_error")} == {None}
    assert ranked(nothing.ranker) == "no list had anything to learn from"
    assert ranked(nothing.ranker) in page(msgspec.to_builtins(nothing), "empty.csv")
    quality, alone = RankerQuality(), cast("Ranked", SimpleNamespace(p=np.array([0.5])))
    quality.add(alone, np.array([True]))
    told = quality.figures()
    assert told["auc"] is None
    assert told["logloss"] == pytest.approx(0.693147)
    assert "no AUC" in ranked(told)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_a_predictor_whose_outcomes_never_differ_is_said_to_have_nothing_to_tell_apart():
    core = CoreSettings()
    always = replace(core, predictions=replace(core.predictions, learn_rate=1.0))
    hours = [event(f"u{user}", 1570000000 + 7200 * n + user, f"i{n % 3}") for n in range(6) for user in range(40)]
    report = evaluate(hours, EvaluateSettings(baselines="none", core=always))
    told = report.predictions["purchase"]  # each view is a visit, and nobody buys
    assert told["outcomes"]
    assert (told["auc"], told["rate"]) == (None, 0.0)
    assert "all came out alike" in predicted(told)
    assert predicted(evaluate([], SETTINGS).predictions["purchase"]) == "nothing in this log to predict"
    differs = dict.fromkeys(told, 0.5) | {"outcomes": 7.0}
    assert predicted(differs).startswith("AUC 0.5000")
    text = page(msgspec.to_builtins(report), "shop.csv")
    assert f"purchase: {predicted(told)}" in text


def test_an_unknown_generator_or_feature_to_leave_out_is_refused():
    core = CoreSettings()
    with pytest.raises(ValueError, match=r"core\.retrieval\.without: 'everything'"):
        EvaluateSettings(core=replace(core, retrieval=replace(core.retrieval, without=("everything",))))


class Traced(Run):
    """Keeps each list as it was made, the engine's and the baselines'."""

    def __init__(self, settings):
        super().__init__(settings)
        self.lists = {}
        self._watch("next", self.next)
        self._watch("discover", self.discover)

    def _watch(self, kind, series):
        add = series.add

        def traced(name, items, targets):
            self.lists[kind, name, self.now_ms] = tuple(items)
            return add(name, items, targets)

        series.add = traced

    def group(self, user, now_ms, events):
        self.now_ms = now_ms
        super().group(user, now_ms, events)


class Foreseeing(Traced):
    """The mistake a protocol of this kind is most prone to: the group is folded before it is ranked for."""

    def group(self, user, now_ms, events):
        if self.engine.knows(user):
            self.engine.fold(user, events)
        super().group(user, now_ms, events)


def lists_until(kind, events, cut):
    """All lists made for groups up to and with number ``cut``."""
    run = kind(SETTINGS)
    for each in events[: cut + 1]:
        run.group(each.user, each.time, [each])
    return run.lists


def other_future(events, cut):
    """The same users at the same times, from ``cut`` on with an item that nobody has seen."""
    return events[:cut] + [event(e.user, e.time // 1000, "other") for e in events[cut:]]


def looks_ahead(kind):
    """Whether a list depends on the very group that judges it or on any after it."""
    events = shop()
    for cut in range(25, len(events), 40):
        one, two = lists_until(kind, events, cut), lists_until(kind, other_future(events, cut), cut)
        # Whether there is a second list hangs on the target: what both runs have is compared.
        if any(one[at] != two[at] for at in one.keys() & two.keys()):
            return True
    return False


def test_no_list_depends_on_what_comes_after_it():
    """At many points the future is exchanged for another: the lists before it, and the next one, are the same."""
    assert not looks_ahead(Traced)


def test_a_planted_look_ahead_is_caught():
    """As a test of the test."""
    assert looks_ahead(Foreseeing)
