"""Every Prometheus metric of a worker, named here and nowhere else.

``METRICS`` is the list; ``Metrics`` is how a worker writes to it. Its methods are called once a micro-batch, once a
commit or now and then, never once an event. All run on the worker's one thread.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import HistogramMetricFamily

from streamer.core.events import REJECTIONS
from streamer.core.uplift.joining import COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from streamer.core.effects import Effects

OUTCOMES: Final = ("applied", "duplicate", "late", "rekeyed", "dead_letter")
"""Where a record can end; their counts sum to the records read."""

MODEL_MEASURES: Final = (
    *("logloss", "auc", "calibration_error", "version", "refused", "resets"),
    *("gain", "held", "promotions", "rollbacks", "drifts"),
    *("qini", "uplift"),
)
"""What ``Metrics.model`` takes, each a gauge ``streamer_model_<measure>``."""

MODEL_PREFIXES: Final = {"served_": "served", "champion_": "champion_paired"}
"""A measure with such a prefix is of another model: what was served then; the champion on the challenger's rows."""

MODELS: Final = ("champion", "challenger", *MODEL_PREFIXES.values())
"""Values of the label ``model``."""

_LATENCY: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
_COMMIT: Final = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BATCH: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)
_OF_A_LIST: Final = ("retrieve", "score", "decide")
_DECISION: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1)
_TIMER: Final = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name as scraped, what it means, its labels, a histogram's upper bounds."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ("role",)
    buckets: tuple[float, ...] = ()


_ROLE, _BY_TOPIC, _BY_TASK = ("role",), ("role", "topic"), ("role", "partition")
_BY_CAMPAIGN: Final = ("role", "campaign", "partition")

METRICS: Final = (
    # What went in and came out.
    Metric("counter", "streamer_records_total", "Records folded; its rate is the throughput."),
    Metric("counter", "streamer_events_total", "Inbound records by where each ended.", ("role", "outcome")),
    Metric("counter", "streamer_dead_letters_total", "Records that cannot be folded, by reason.", ("role", "reason")),
    Metric("gauge", "streamer_input_lost_offsets", "Deleted before they were read, since the start.", _BY_TOPIC),
    Metric("counter", "streamer_fetches_astray_total", "Fetches that did not go on where their task stood; dropped."),
    Metric("counter", "streamer_decisions_total", "Verdicts: sent, or the rule that refused.", ("role", "reason")),
    Metric("counter", "streamer_candidates_total", "Push candidates sent."),
    Metric("counter", "streamer_ranked_lists_total", "Lists ranked, to decide or to learn from."),
    Metric("counter", "streamer_items_folded_total", "Rows of the item index published."),
    Metric("counter", "streamer_slates_total", "Pushes that wait, and feedback that joins.", ("role", "outcome")),
    Metric("gauge", "streamer_coupons_spent_cents", "What coupons sent may cost, in all.", _BY_CAMPAIGN),
    Metric("gauge", "streamer_coupons_left_cents", "What more coupons may cost at the stream's time.", _BY_CAMPAIGN),
    Metric("counter", "streamer_timers_fired_total", "Timers that were due and asked for a push."),
    Metric("gauge", "streamer_timers_pending", "Timers that are armed.", _BY_TASK),
    Metric("gauge", "streamer_timers_late_seconds", "For how long the earliest timer has been due.", _BY_TASK),
    # How long it took.
    Metric(
        "histogram",
        "streamer_latency_seconds",
        "From produced_at to the commit, of one record in eight.",
        _ROLE,
        _LATENCY,
    ),
    Metric("histogram", "streamer_commit_seconds", "Time one commit took.", _ROLE, _COMMIT),
    Metric("histogram", "streamer_batch_seconds", "Compute time of one micro-batch.", _ROLE, _BATCH),
    Metric("histogram", "streamer_batch_records", "Records in one micro-batch.", _ROLE, _SIZES),
    Metric(
        "histogram", "streamer_decision_seconds", "Retrieval to decision of a batch, a ranked list.", _ROLE, _DECISION
    ),
    Metric(
        "histogram", "streamer_timer_seconds", "From when a timer was due to its firing, in stream time.", _ROLE, _TIMER
    ),
    Metric("counter", "streamer_stage_seconds_total", "Compute time by stage.", ("role", "stage")),
    # How the worker stands.
    Metric("gauge", "streamer_healthy", "1 while /healthz answers 200."),
    Metric("gauge", "streamer_ready", "1 while /readyz answers 200."),
    Metric("gauge", "streamer_tasks_owned", "Tasks this worker runs."),
    Metric("gauge", "streamer_standbys_kept", "Warm copies this worker keeps of other workers' tasks."),
    Metric("gauge", "streamer_standby_lag", "Changelog offsets a warm copy has yet to read.", _BY_TASK),
    Metric("gauge", "streamer_lag_records", "Records written and not yet folded.", ("role", "topic", "partition")),
    Metric("gauge", "streamer_progress_age_seconds", "Time since a task's last progress.", _BY_TASK),
    Metric("gauge", "streamer_rocksdb_bytes", "Size of a task's tables on disk.", _BY_TASK),
    Metric("gauge", "streamer_tables_memory_bytes", "Memory of a task's tables.", ("role", "part", "partition")),
    Metric("gauge", "streamer_block_cache_bytes", "Memory of the block cache that all tables share."),
    Metric("counter", "streamer_recovery_rows_total", "Changelog rows read to rebuild tables."),
    Metric("counter", "streamer_recovery_seconds_total", "Time spent in rebuilding tables."),
    Metric("gauge", "streamer_recovery_left", "Changelog offsets a task has yet to read before it starts.", _BY_TASK),
    Metric("gauge", "streamer_replica_lag_records", "Records a replica has yet to read.", _BY_TOPIC),
    Metric("gauge", "streamer_replica_ready", "1 once a replica has been read to its end.", _BY_TOPIC),
    Metric("counter", "streamer_replica_rejected_total", "Rows a replica could not read.", _BY_TOPIC),
    # How good the models are; each example is predicted before it is learned.
    Metric("counter", "streamer_model_examples_total", "Examples learned from."),
    Metric("gauge", "streamer_vectors", "Items that have a vector."),
    Metric("gauge", "streamer_vectors_loss", "Cross entropy of what was taken up lately by the vectors, nats."),
    Metric("gauge", "streamer_model_logloss", "Prequential log loss.", ("role", "model")),
    Metric("gauge", "streamer_model_auc", "Prequential area under the ROC curve.", ("role", "model")),
    Metric("gauge", "streamer_model_calibration_error", "Mean distance of probability from share.", ("role", "model")),
    Metric("gauge", "streamer_model_version", "Version published.", ("role", "model")),
    Metric("gauge", "streamer_model_refused", "Examples it would not learn from.", ("role", "model")),
    Metric("gauge", "streamer_model_gain", "What a challenger is better by a list, so far.", ("role", "model")),
    Metric("gauge", "streamer_model_held", "Examples not learned from: the input had collapsed.", ("role", "model")),
    Metric("gauge", "streamer_model_promotions", "Times a challenger became the champion.", ("role", "model")),
    Metric("gauge", "streamer_model_rollbacks", "Times the champion went back.", ("role", "model")),
    Metric("gauge", "streamer_model_drifts", "Times the champion's loss changed.", ("role", "model")),
    Metric("gauge", "streamer_model_qini", "Purchases a push gained by the order of uplift.", ("role", "model")),
    Metric("gauge", "streamer_model_uplift", "Difference of the share that bought, pushed or not.", ("role", "model")),
    Metric("gauge", "streamer_model_resets", "Times it began anew, having outgrown its limit.", ("role", "model")),
)

PROCESS_METRICS: Final = (
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
)
"""What prometheus_client adds about the process (on Linux): memory (RSS), CPU, open files."""

_PER_PARTITION: Final = tuple(metric.name for metric in METRICS if "partition" in metric.labels)


class BatchHistogram:
    """A histogram of one role that takes many observations in one vectorised call.

    ``prometheus_client.Histogram`` takes one at a time, under a lock. This is a collector of its own, for one thread.
    """

    def __init__(self, metric: Metric, role: str) -> None:
        self._metric, self._role = metric, role
        self._bounds = [float(bound) for bound in metric.buckets]
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def observe_many(self, values: npt.NDArray[np.float64]) -> None:
        """Count ``values`` [n]."""
        counts = np.bincount(np.searchsorted(self._bounds, values, side="left"), minlength=len(self._counts))
        self._counts = [before + int(new) for before, new in zip(self._counts, counts, strict=True)]
        self._sum += float(values.sum())

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The family without samples: the registry looks for clashes of names in it."""
        return [HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The family with cumulative buckets, the last one ``+Inf``."""
        family = HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)
        buckets, cumulative = [], 0
        for bound, count in zip([*map(repr, self._bounds), "+Inf"], self._counts, strict=True):
            cumulative += count
            buckets.append((bound, cumulative))
        family.add_metric([self._role], buckets, self._sum)
        return [family]


class Metrics:
    """What one worker process, of one role, reports.

    Series whose labels are known beforehand exist at zero from the start, so that a rate does not miss the first one.
    """

    def __init__(self, role: str = "user", registry: CollectorRegistry | None = None) -> None:
        self.role = role
        self.registry = CollectorRegistry() if registry is None else registry
        ProcessCollector(registry=self.registry)
        self._all: dict[str, Any] = {metric.name: _make(metric, role, self.registry) for metric in METRICS}
        self._children: dict[tuple[str, ...], Any] = {}
        for metric in METRICS:
            if metric.labels == _ROLE and metric.kind == "counter":
                self._child(metric.name)
        if role == "user":
            for outcome in OUTCOMES:
                self._child("streamer_events_total", outcome)
            for outcome in COUNTED:
                self._child("streamer_slates_total", outcome)
            for reason in REJECTIONS:
                self._child("streamer_dead_letters_total", reason)
            self._child("streamer_decisions_total", "sent")

    def render(self) -> bytes:
        """The exposition text Prometheus scrapes."""
        return generate_latest(self.registry)

    def _child(self, name: str, *labels: str) -> Any:
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._all[name].labels(self.role, *labels)
        return child

    # -- once a micro-batch -------------------------------------------------------------------------------------------

    def batch(self, records: int, seconds: float) -> None:
        """A micro-batch of ``records`` took ``seconds`` of compute."""
        self._child("streamer_records_total").inc(records)
        self._all["streamer_batch_records"].observe(records)
        self._all["streamer_batch_seconds"].observe(seconds)

    def stage(self, stage: str, seconds: float) -> None:
        """``seconds`` of compute went into ``stage``."""
        self._child("streamer_stage_seconds_total", stage).inc(seconds)

    def effects(self, effects: Effects) -> None:
        """What the core made of a micro-batch: outcomes, reasons, candidates, stages, time a ranked list."""
        for outcome, count in effects.counts.items():
            self._child("streamer_events_total", outcome).inc(count)
        for outcome, count in effects.slates_counts.items():
            self._child("streamer_slates_total", outcome).inc(count)
        for letter in effects.dead_letters:
            self._child("streamer_dead_letters_total", letter.reason).inc()
        verdicts: dict[str, int] = {}
        for decision in effects.decisions:
            verdicts[decision.reason] = verdicts.get(decision.reason, 0) + 1
        for reason, count in verdicts.items():
            self._child("streamer_decisions_total", reason).inc(count)
        self._child("streamer_candidates_total").inc(len(effects.candidates))
        if late_ms := [effects.now - decision.due_ms for decision in effects.decisions if decision.due_ms]:
            self._child("streamer_timers_fired_total").inc(len(late_ms))
            self._all["streamer_timer_seconds"].observe_many(np.asarray(late_ms) / 1000)
        for stage, spent in effects.stage_seconds.items():
            self.stage(stage, spent)
        if effects.ranked:
            self._child("streamer_ranked_lists_total").inc(effects.ranked)
            # What the lists took, and not the folding of the events around them, most of which ask for none.
            spent = sum(effects.stage_seconds.get(stage, 0.0) for stage in _OF_A_LIST)
            self._all["streamer_decision_seconds"].observe(spent / effects.ranked)

    def coupons(self, partition: int, campaign: str, spent_cents: int, left_cents: int) -> None:
        """What a campaign's coupons of a task may cost in all, and what is left of its part of the budget."""
        self._child("streamer_coupons_spent_cents", campaign, str(partition)).set(spent_cents)
        self._child("streamer_coupons_left_cents", campaign, str(partition)).set(left_cents)

    # -- once a commit ------------------------------------------------------------------------------------------------

    def commit(self, seconds: float) -> None:
        """A commit took ``seconds``."""
        self._all["streamer_commit_seconds"].observe(seconds)

    def latency(self, seconds: Sequence[float] | npt.NDArray[np.float64]) -> None:
        """Ages [n] of the events just committed, from ``produced_at``. One below zero (a clock ahead) counts as 0."""
        ages = np.maximum(np.asarray(seconds, dtype=np.float64), 0.0)
        self._all["streamer_latency_seconds"].observe_many(ages)

    def items_folded(self, rows: int) -> None:
        """``rows`` of the item index were published."""
        self._child("streamer_items_folded_total").inc(rows)

    def vectors(self, count: int, loss: float) -> None:
        """So many items have a vector; ``loss`` is the mean cross entropy of what was taken up lately."""
        self._child("streamer_vectors").set(count)
        self._child("streamer_vectors_loss").set(loss)

    def examples(self, count: int) -> None:
        """``count`` examples were learned from."""
        self._child("streamer_model_examples_total").inc(count)

    def model(self, which: str, measures: Mapping[str, float]) -> None:
        """Measures of the ``champion`` or of a challenger; what is no ``MODEL_MEASURES``, or NaN, is left out."""
        for given, value in measures.items():
            measure, model = given, which
            for prefix, other in MODEL_PREFIXES.items():
                if given.startswith(prefix):
                    measure, model = given.removeprefix(prefix), other
            if measure in MODEL_MEASURES and math.isfinite(value):
                self._child(f"streamer_model_{measure}", model).set(value)

    # -- now and then -------------------------------------------------------------------------------------------------

    def health(self, *, healthy: bool, ready: bool) -> None:
        """What the two health pages answer now."""
        self._child("streamer_healthy").set(healthy)
        self._child("streamer_ready").set(ready)

    def tasks_owned(self, tasks: int) -> None:
        """This worker runs ``tasks`` tasks."""
        self._child("streamer_tasks_owned").set(tasks)

    def standbys(self, copies: int) -> None:
        """This worker keeps ``copies`` warm copies."""
        self._child("streamer_standbys_kept").set(copies)

    def standby_lag(self, partition: int, left: int) -> None:
        """A warm copy has ``left`` changelog offsets to read."""
        self._child("streamer_standby_lag", str(partition)).set(left)

    def lag(self, topic: str, partition: int, behind: int) -> None:
        """``behind`` records of a partition are not folded yet."""
        self._child("streamer_lag_records", topic, str(partition)).set(behind)

    def input_lost(self, topic: str, offsets: int) -> None:
        """So many offsets of an input were deleted before its task read them."""
        self._child("streamer_input_lost_offsets", topic).inc(offsets)

    def astray(self) -> None:
        """A fetch did not go on where its task stood."""
        self._child("streamer_fetches_astray_total").inc()

    def progress(self, partition: int, age_s: float) -> None:
        """A task last made progress ``age_s`` seconds ago."""
        self._child("streamer_progress_age_seconds", str(partition)).set(age_s)

    def timers(self, partition: int, pending: int, late_s: float) -> None:
        """A task has ``pending`` timers, the earliest of which has been due for ``late_s`` seconds."""
        self._child("streamer_timers_pending", str(partition)).set(pending)
        self._child("streamer_timers_late_seconds", str(partition)).set(late_s)

    def disk(self, partition: int, size_bytes: int) -> None:
        """A task's tables take ``size_bytes`` on disk."""
        self._child("streamer_rocksdb_bytes", str(partition)).set(size_bytes)

    def tables_memory(self, partition: int, parts: Mapping[str, int]) -> None:
        """A task's tables take so many bytes of memory, by what for."""
        for part, size_bytes in parts.items():
            self._child("streamer_tables_memory_bytes", part, str(partition)).set(size_bytes)

    def block_cache(self, size_bytes: int) -> None:
        """The block cache holds ``size_bytes``."""
        self._child("streamer_block_cache_bytes").set(size_bytes)

    def revoked(self, partition: int) -> None:
        """A task went to another worker: its gauges end here, or its last lag would be scraped for ever."""
        for key in [key for key in self._children if key[0] in _PER_PARTITION and key[-1] == str(partition)]:
            del self._children[key]
            self._all[key[0]].remove(self.role, *key[1:])

    def recovering(self, partition: int, left: int, rows: int, seconds: float) -> None:
        """Another ``rows`` of changelog and ``seconds`` went into a task's tables; ``left`` offsets are to be read."""
        self._child("streamer_recovery_rows_total").inc(rows)
        self._child("streamer_recovery_seconds_total").inc(seconds)
        self._child("streamer_recovery_left", str(partition)).set(left)

    def replica_lag(self, topic: str, behind: int) -> None:
        """A replica has ``behind`` records to read."""
        self._child("streamer_replica_lag_records", topic).set(behind)

    def replica_ready(self, topic: str, *, ready: bool = True) -> None:
        """Whether a replica has been read to the end seen at its start."""
        self._child("streamer_replica_ready", topic).set(ready)

    def replica_rejected(self, topic: str) -> None:
        """A replica could not read a row, and goes on without it."""
        self._child("streamer_replica_rejected_total", topic).inc()


def _make(metric: Metric, role: str, registry: CollectorRegistry) -> Any:
    if metric.kind == "histogram":
        histogram = BatchHistogram(metric, role)
        registry.register(histogram)
        return histogram
    made = Counter if metric.kind == "counter" else Gauge
    return made(metric.name, metric.help, metric.labels, registry=registry)
