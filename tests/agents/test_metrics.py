"""Metrics: every one named in one place, each written to by something, and what they say is what happened."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from agents.metrics import METRICS, MODEL_MEASURES, MODELS, OUTCOMES, PROCESS_METRICS, Metric, Metrics
from streamer.core.effects import DeadLetter, Decision, Effects
from streamer.core.events import REJECTIONS
from streamer.core.record import Record

ROOT = Path(__file__).parent.parent.parent


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names, the role left out …) → value, as a scraper reads them."""
    return {
        (one.name, *(value for name, value in sorted(one.labels.items()) if name != "role")): one.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for one in family.samples
    }


T0_MS = 1_700_000_000_000


def decision(reason: str, due_ms: int = 0) -> Decision:
    return Decision("u", "browse:1", "next", reason, 1.0, 1, "p1", due_ms=due_ms)


def letter(reason: str) -> DeadLetter:
    return DeadLetter(Record("browse", 0, 0, 0, None, b"x"), reason, "")


@pytest.fixture
def busy() -> Metrics:
    """Metrics to which everything has been reported once."""
    metrics = Metrics("user")
    metrics.batch(10, 0.02)
    metrics.stage("fold", 0.001)
    metrics.effects(
        Effects(
            now=T0_MS + 3_000,
            decisions=[decision("sent"), decision("min_gap"), decision("min_gap", due_ms=T0_MS)],
            dead_letters=[letter("not_json")],
            counts=Counter(applied=7, duplicate=2, dead_letter=1),
            ranked=4,
            stage_seconds={"parse": 0.1, "fold": 0.002, "retrieve": 0.006, "score": 0.004, "decide": 0.002},
        )
    )
    metrics.commit(0.01)
    metrics.latency([0.05, 0.2, -1.0])
    metrics.items_folded(3)
    metrics.examples(5)
    metrics.vectors(7, 5.5)
    metrics.model("champion", dict.fromkeys(MODEL_MEASURES, 0.5))
    metrics.health(healthy=True, ready=False)
    metrics.tasks_owned(4)
    metrics.lag("browse", 1, 9)
    metrics.progress(1, 0.5)
    metrics.input_lost("browse", 3)
    metrics.astray()
    metrics.disk(1, 4096)
    metrics.tables_memory(1, {"hot_rows": 512})
    metrics.block_cache(2048)
    metrics.timers(1, 12, 0.5)
    metrics.coupons(1, "give", 300, 50)
    metrics.recovering(1, 40, 100, 0.5)
    metrics.standbys(1)
    metrics.standby_lag(2, 7)
    metrics.replica_lag("catalog", 3)
    metrics.replica_ready("catalog")
    metrics.replica_rejected("catalog")
    return metrics


def test_every_named_metric_is_written_to_by_some_method(busy):
    """A metric nobody can write is a graph that stays empty."""
    written = {name for name, *_ in samples(busy)}
    for metric in METRICS:
        assert metric.name in written or f"{metric.name}_bucket" in written, metric.name


def test_nothing_is_exposed_that_is_not_named(busy):
    """METRICS and PROCESS_METRICS are the whole list."""
    known = {metric.name for metric in METRICS} | set(PROCESS_METRICS)
    for name, *_ in samples(busy):
        stem = re.sub(r"_(bucket|sum|count|created)$", "", name)
        assert {name, stem, f"{stem}_total"} & known, name


def test_no_other_module_names_a_metric():
    """One place means one place."""
    for folder in ("agents", "state", "streamer"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "metrics.py":
                assert not re.search(r"[\"']streamer_\w+_(total|seconds|bytes|records)[\"']", path.read_text()), path


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions_of_prometheus(metric: Metric):
    """One prefix, base units, _total for counters alone, a role on everything, a sentence of help."""
    assert re.fullmatch(r"streamer_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|millis|milliseconds|kb|mb|percent)(_|$)", metric.name)
    assert metric.labels[0] == "role"
    assert metric.help.endswith(".")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert bool(metric.buckets) == (metric.kind == "histogram")


def test_a_batch_is_counted_by_outcome_and_reason(busy):
    """What the core returned is what is scraped."""
    told = samples(busy)
    assert told["streamer_events_total", "applied"] == 7
    assert told["streamer_events_total", "duplicate"] == 2
    assert told["streamer_dead_letters_total", "not_json"] == 1
    assert told["streamer_decisions_total", "sent"] == 1
    assert told["streamer_decisions_total", "min_gap"] == 2
    assert told["streamer_stage_seconds_total", "fold"] == pytest.approx(0.003)
    assert told["streamer_records_total",] == 10


def test_decision_time_is_that_of_the_lists_and_not_of_the_events_around_them(busy):
    """12 ms of retrieving, scoring and deciding for 4 lists is 3 ms a list, whatever was parsed and folded."""
    told = samples(busy)
    assert told["streamer_decision_seconds_sum",] == pytest.approx(0.003)
    assert told["streamer_decision_seconds_count",] == 1


def test_a_batch_without_ranking_says_nothing_about_decision_time():
    """Dividing by nothing is no measurement."""
    metrics = Metrics()
    metrics.effects(Effects(now=0, stage_seconds={"fold": 0.002}))
    assert samples(metrics)["streamer_decision_seconds_count",] == 0


def test_an_age_below_zero_counts_as_zero(busy):
    """A producer's clock may be ahead of ours."""
    told = samples(busy)
    assert told["streamer_latency_seconds_count",] == 3
    assert told["streamer_latency_seconds_sum",] == pytest.approx(0.25)
    assert told["streamer_latency_seconds_bucket", "0.01"] == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_batch_histogram_equals_the_clients_own(at_once):
    """Same buckets, same counts, bounds included from above, whether told at once or one by one."""
    name = "streamer_latency_seconds" if at_once else "streamer_commit_seconds"
    bounds = next(metric.buckets for metric in METRICS if metric.name == name)
    values = [0.0, *bounds, *(bound * 1.01 for bound in bounds), 1e6]
    ours = Metrics()
    if at_once:
        ours.latency(values[:5])
        ours.latency(values[5:])
    else:
        for value in values:
            ours.commit(value)
    registry = CollectorRegistry()
    theirs = Histogram(name, "", ("role",), registry=registry, buckets=bounds).labels("user")
    for value in values:
        theirs.observe(value)
    expected = {
        (one.name, *(value for name, value in one.labels.items() if name == "le")): one.value
        for family in registry.collect()
        for one in family.samples
        if not one.name.endswith("_created")
    }
    told = samples(ours)
    for key, value in expected.items():
        assert told[key] == pytest.approx(value), key


def test_a_timer_is_counted_when_it_asks_and_how_late_it_was(busy):
    """Whatever the policy says to it."""
    told = samples(busy)
    assert told["streamer_timers_fired_total",] == 1
    assert (told["streamer_timer_seconds_sum",], told["streamer_timer_seconds_count",]) == (3.0, 1)
    assert (told["streamer_timers_pending", "1"], told["streamer_timers_late_seconds", "1"]) == (12, 0.5)


def test_known_series_exist_at_zero_from_the_start():
    """Else the first dead letter is no increase to an alert on a rate."""
    told = samples(Metrics("user"))
    assert {told["streamer_events_total", outcome] for outcome in OUTCOMES} == {0}
    assert {told["streamer_dead_letters_total", reason] for reason in REJECTIONS} == {0}
    assert told["streamer_candidates_total",] == 0


def test_a_revoked_task_takes_its_gauges_along(busy):
    """A lag that nobody updates would alert for ever."""
    busy.lag("browse", 11, 5)
    busy.revoked(1)
    told = samples(busy)
    assert ("streamer_lag_records", "1", "browse") not in told
    assert ("streamer_rocksdb_bytes", "1") not in told
    assert ("streamer_tables_memory_bytes", "hot_rows", "1") not in told
    assert ("streamer_coupons_left_cents", "give", "1") not in told
    assert told["streamer_lag_records", "11", "browse"] == 5
    busy.lag("browse", 1, 2)
    assert samples(busy)["streamer_lag_records", "1", "browse"] == 2


def test_a_task_revoked_before_it_reported_is_no_error():
    """A rebalance may take a task away at once."""
    Metrics().revoked(3)


def test_a_measure_that_is_not_yet_known_is_left_out():
    """A model that has learned nothing has no logloss; a zero would look perfect."""
    metrics = Metrics("trainer")
    metrics.model("challenger", {"logloss": math.nan, "version": 1})
    told = samples(metrics)
    assert ("streamer_model_logloss", "challenger") not in told
    assert told["streamer_model_version", "challenger"] == 1


def test_a_measure_of_another_model_goes_to_that_model():
    """The challenger reports the champion on its own rows, so that the two can be compared."""
    metrics = Metrics("trainer")
    metrics.model("champion", {"logloss": 0.3, "served_logloss": 0.4, "unheard_of": 1.0})
    metrics.model("challenger", {"logloss": 0.5, "champion_logloss": 0.6})
    told = samples(metrics)
    found = {model: told["streamer_model_logloss", model] for model in MODELS}
    assert found == {"champion": 0.3, "served": 0.4, "challenger": 0.5, "champion_paired": 0.6}


def test_each_model_measure_has_its_metric():
    """The table and the method agree."""
    assert {f"streamer_model_{measure}" for measure in MODEL_MEASURES} <= {metric.name for metric in METRICS}


def test_two_workers_in_one_process_share_nothing():
    """There is no global registry behind them."""
    one, other = Metrics(), Metrics()
    one.tasks_owned(3)
    assert ("streamer_tasks_owned",) not in samples(other)


def test_the_operations_page_explains_every_metric_and_no_other():
    """docs/operations.md does not drift."""
    known = {metric.name for metric in METRICS} | set(PROCESS_METRICS)
    known |= {
        f"{metric.name}_{end}" for metric in METRICS if metric.kind == "histogram" for end in ("bucket", "sum", "count")
    }
    named = set(re.findall(r"\b(?:streamer|process)_[a-z_]+[a-z]\b", (ROOT / "docs" / "operations.md").read_text()))
    assert named
    assert named <= known
    assert {metric.name for metric in METRICS} <= named
