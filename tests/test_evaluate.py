"""Evaluation: the protocol on files small enough to be judged by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from math import log2

import pytest

from streamer.core.events import Event, Line, item_key
from streamer.core.settings import CoreSettings
from streamer.evaluate import EvaluateSettings, evaluate, evaluate_events
from streamer.evaluation import engine as engines
from streamer.evaluation import run as module
from streamer.evaluation.baselines.registry import NAMES
from streamer.evaluation.judge import METRICS, Asked, Judge, metrics

HEADER = "time,user,type,item\n"


def view(user: str, time_s: int, *items: str, kind: str = "view") -> Event:
    lines = tuple(Line(item, item_key(item)) for item in items)
    return Event(user, f"{user}{time_s}", "test", kind, time_s * 1000, item_key(f"{user}{time_s}{kind}"), lines)


def small():
    """Six events, three of which (hat for ann, scarf again and coat for cid) a list is made for."""
    return [
        view("ann", 1570000000, "shoes"),
        view("bob", 1570000010, "hat"),
        view("ann", 1570000020, "hat"),
        view("cid", 1570000030, "scarf"),
        view("cid", 1570000040, "scarf"),
        view("cid", 1570000050, "coat"),
    ]


def judged(events, **settings):
    return evaluate(events, EvaluateSettings(**settings))


def test_a_list_is_made_before_each_group_of_a_user_with_an_earlier_one():
    """Nobody's first is scored; ann's second, and cid's second and third, are."""
    report = judged(small())
    assert (report.events, report.groups, report.targets) == (6, 3, 3)


def test_metrics_of_a_small_file_are_those_worked_out_by_hand():
    """Her own goes first, so that ann's list is (shoes, hat): hat, new to her, at place 2.

    Cid's own goes first likewise: scarf, not new to him, at place 1. Coat was never seen: a miss.
    """
    report = judged(small())
    assert report.metrics == {
        "hr@10": pytest.approx(2 / 3, abs=1e-6),
        "hr@20": pytest.approx(2 / 3, abs=1e-6),
        "mrr@20": pytest.approx((1 / 2 + 1 + 0) / 3, abs=1e-6),
        "ndcg@10": pytest.approx((1 / log2(3) + 1 + 0) / 3, abs=1e-6),
        "hr@20_new": pytest.approx(1 / 2, abs=1e-6),
    }


def test_baselines_of_a_small_file_are_those_worked_out_by_hand():
    """Places of hat and scarf; coat is a miss for all.

    Popularity: shoes and hat once each, the first seen first, 2; then hat twice, shoes, scarf: 3. Trending: of single
    sightings the newest first, 1; then hat twice, scarf: 2. Repeat: shoes, filled with hat, 2; then scarf, 1.
    Co-visitation: ann's shoes and cid's scarf have been next to nothing yet, so popularity's 2 and 3.
    """
    report = judged(small())
    mrr = {name: found["mrr@20"] for name, found in report.baselines.items()}
    assert {name: mrr[name] for name in ("popularity", "trending", "repeat", "co-visitation")} == {
        "popularity": pytest.approx((1 / 2 + 1 / 3) / 3, abs=1e-6),
        "trending": pytest.approx((1 + 1 / 2) / 3, abs=1e-6),
        "repeat": pytest.approx((1 / 2 + 1) / 3, abs=1e-6),
        "co-visitation": pytest.approx((1 / 2 + 1 / 3) / 3, abs=1e-6),
    }


class LookingAhead(engines.Engine):
    """An engine that folds a group before it is asked to rank for it: the mistake this protocol is most prone to."""

    upcoming: dict[tuple[str, int], list[Event]]

    def rank(self, user, now_ms, stages):
        self.fold(user, self.upcoming[user, now_ms])
        self.settle()
        return super().rank(user, now_ms, stages)


def test_a_look_ahead_would_be_caught(monkeypatch):
    """The planted engine knows coat before cid sees it, so that nothing is a miss, as it is when done by hand."""
    LookingAhead.upcoming = {(e.user, e.time): [e] for e in small()}
    monkeypatch.setattr(module, "Engine", LookingAhead)
    report = judged(small())
    assert report.metrics["hr@20"] == 1.0
    assert report.metrics["hr@20_new"] == 1.0


def test_rows_of_a_user_at_one_time_are_one_group_whatever_their_type():
    events = [
        view("ann", 1570000000, "shoes"),
        view("ann", 1570000050, "hat", "shoes"),
        view("ann", 1570000050, "hat", kind="cart"),
    ]
    report = judged(events)
    assert (report.events, report.groups, report.targets) == (2, 1, 2)
    assert report.metrics["hr@20"] == 0.5


def test_nobody_elses_event_between_them_splits_a_group_in_time_order():
    events = [*small(), view("ann", 1570000050, "hat"), view("bob", 1570000050, "hat")]
    assert judged(events).groups == 5


def test_every_scores_each_kth_group_and_all_update_the_profiles():
    report = judged(small(), every=3)
    assert (report.events, report.groups, report.targets) == (6, 1, 1)
    assert report.metrics["hr@20"] == 0.0
    assert judged(small(), every=2).metrics["mrr@20"] == 1.0


def test_learning_more_often_than_scoring_is_another_model_but_the_same_targets():
    often, seldom = judged(shop(), every=6, learn_every=1), judged(shop(), every=6)
    assert (often.groups, often.targets) == (seldom.groups, seldom.targets)
    assert often.baselines == seldom.baselines
    assert often.digest != seldom.digest


def test_the_model_of_a_list_has_learned_from_earlier_lists_only(monkeypatch):
    """The ranking of a list is asked for before its group's labels are given to the trainer, every time."""
    order = []

    class Watched(engines.Engine):
        def rank(self, user, now_ms, stages):
            order.append(("rank", user, now_ms))
            return super().rank(user, now_ms, stages)

        def learn(self, ranked, events):
            order.append(("learn", events[0].user, events[0].time))
            super().learn(ranked, events)

    monkeypatch.setattr(module, "Engine", Watched)
    judged(small())
    asked = [("ann", 1570000020000), ("cid", 1570000040000), ("cid", 1570000050000)]
    assert order == [(what, *which) for which in asked for what in ("rank", "learn")]


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ("none", []),
        ("cheap", ["popularity", "trending", "repeat"]),
        ("v-sknn,co-visitation", ["co-visitation", "v-sknn"]),
    ],
)
def test_baselines_can_be_chosen_and_change_nothing_else(which, names):
    report, alone = judged(small(), baselines=which), judged(small(), baselines="none")
    assert list(report.baselines) == names
    assert (report.metrics, report.digest) == (alone.metrics, alone.digest)


def test_feedback_and_preferences_are_no_behaviour():
    stray = Event("ann", "p", "test", "preferences", 1570000005000, 5)
    assert judged([small()[0], stray, *small()[1:]]).digest == judged(small()).digest


def test_an_empty_stream_is_judged_as_nothing():
    report = judged([])
    assert (report.events, report.groups, report.targets, report.events_per_second) == (0, 0, 0, 0.0)
    assert report.metrics == dict.fromkeys(METRICS, 0.0)


@pytest.mark.parametrize("wrong", [{"every": 0}, {"learn_every": -1}, {"baselines": "some"}, {"replicates": -1}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"every|baselines|replicates"):
        EvaluateSettings(**wrong)


def test_a_judge_counts_targets_and_lists_as_the_protocol_says():
    """Two lists: one with targets at places 1 and 11 and a miss, one with its only target at place 3."""
    asked, judge = Asked(), Judge()
    asked.add(0, [False, True, True])
    assert judge.add(list(range(20)), [0, 10, 99]) == [1, 11, 0]
    asked.add(1, [True])
    assert judge.add(list(range(20)), [2]) == [3]
    ideal = 1 + 1 / log2(3) + 1 / 2
    assert metrics(asked, judge.places) == {
        "hr@10": pytest.approx(2 / 4, abs=1e-6),
        "hr@20": pytest.approx(3 / 4, abs=1e-6),
        "mrr@20": pytest.approx((1 + 1 / 11 + 1 / 3) / 4, abs=1e-6),
        "ndcg@10": pytest.approx((1 / ideal + 1 / 2) / 2, abs=1e-6),
        "hr@20_new": pytest.approx(2 / 3, abs=1e-6),
    }


def test_a_perfect_list_has_an_ndcg_of_one():
    asked, judge = Asked(), Judge()
    asked.add(0, [True] * 13)
    judge.add(list(range(20)), list(range(13)))
    assert metrics(asked, judge.places)["ndcg@10"] == pytest.approx(1.0, abs=1e-6)


def shop():
    """Twenty shoppers who go round in one of five aisles: what comes next can be learned."""
    events = []
    for step in range(8):
        for user in range(20):
            item = f"aisle{user % 5}-{(step * 7 + user // 5) % 9}"
            events.append(view(f"u{user}", 1570000000 + step * 600 + user, item))
    return events


def test_it_beats_popularity_where_there_is_something_to_learn():
    report = judged(shop())
    assert report.metrics["hr@10"] > report.baselines["popularity"]["hr@10"] + 0.2


def run_in_a_process_of_its_own(tmp_path, hash_seed):
    csv = tmp_path / "events.csv"
    rows = [f"{e.time // 1000},{e.user},view,{e.lines[0].item}" for e in shop()]
    csv.write_text(HEADER + "\n".join(rows) + "\n")
    out = tmp_path / f"{hash_seed}.json"
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        [sys.executable, "-m", "streamer.cli.main", "evaluate", str(csv), "--json", str(out)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stdout


@pytest.mark.slow
def test_the_digest_is_the_same_whatever_the_hash_seed_and_the_json_has_its_keys(tmp_path):
    (one, shown), (two, _) = (run_in_a_process_of_its_own(tmp_path, seed) for seed in (1, 4242))
    assert one["digest"] == two["digest"]
    assert one["metrics"] == two["metrics"]
    assert one["baselines"] == two["baselines"]
    assert one["discover"] == two["discover"]
    assert set(one) >= {
        "events", "groups", "targets", "metrics", "baselines", "events_per_second", "list_ms", "rss_mb", "digest",
    }  # fmt: skip
    for lists in (one, one["discover"]):
        assert tuple(lists["metrics"]) == METRICS
        assert set(lists["baselines"]) | set(one["missing"]) == set(NAMES)
        assert all(tuple(found) == METRICS for found in lists["baselines"].values())
        assert set(lists["intervals"]) == {"streamer", *lists["baselines"]}
    assert set(one["list_ms"]) == {"p50", "p99"}
    assert one["digest"] in shown


def test_the_digest_tells_files_apart():
    assert judged(small()).digest != judged(small()[:-1]).digest


def test_callers_with_events_in_hand_get_the_report_as_json_has_it():
    found = evaluate_events(small(), CoreSettings(), baselines="cheap")
    assert found["groups"] == 3
    assert found["baselines"]["popularity"]["hr@20"] == pytest.approx(2 / 3, abs=1e-6)
