"""Every Prometheus metric of a worker, named here and nowhere else.

``METRICS`` is the list; ``Metrics`` is how a worker writes to it. A method is called once a micro-batch or once a commit,
never once an event. All of it runs on the worker's event loop, so nothing here takes a lock of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import HistogramMetricFamily

from streamer.core.events import REJECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streamer.core.effects import Effects

OUTCOMES: Final = ("applied", "duplicate", "late", "rekeyed", "dead_letter")
"""Where a record can end; their counts sum to the records read."""

Contender = Literal["champion", "challenger"]

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MILLIS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: what kind, its name as scraped, what it means, its labels, a histogram's upper bounds."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    labels: tuple[str, ...] = ("role",)
    buckets: tuple[float, ...] = ()


METRICS: Final = (
    Metric("counter", "streamer_records_total", "Records folded; its rate is the throughput."),
    Metric("counter", "streamer_events_total", "Inbound records by where each ended.", ("role", "outcome")),
    Metric("counter", "streamer_dead_letters_total", "Records that could not be folded, by reason code.", ("role", "reason")),
    Metric("counter", "streamer_decisions_total", "Verdicts on a trigger: sent, or the rule that refused.", ("role", "reason")),
    Metric("counter", "streamer_candidates_total", "Push candidates sent."),
    Metric("counter", "streamer_ranked_lists_total", "Lists ranked, for a decision or to learn from."),
    Metric("counter", "streamer_stage_seconds_total", "Compute time by stage of the core.", ("role", "stage")),
    Metric("histogram", "streamer_latency_seconds", "From produced_at to the commit that carries the result.", buckets=_SECONDS),
    Metric("histogram", "streamer_commit_seconds", "Time one commit took.", buckets=_SECONDS),
    Metric("histogram", "streamer_batch_records", "Records in one micro-batch.", buckets=_SIZES),
    Metric("histogram", "streamer_batch_seconds", "Compute time of one micro-batch.", buckets=_SECONDS),
    Metric("histogram", "streamer_decision_seconds", "A batch's compute time over the lists ranked in it.", buckets=_MILLIS),
    Metric("gauge", "streamer_tasks_owned", "Tasks this worker runs."),
    Metric("gauge", "streamer_lag_records", "Records written but not yet committed by us.", ("role", "topic", "partition")),
    Metric("gauge", "streamer_progress_age_seconds", "Time since a task last made progress or had no lag.", ("role", "partition")),
    Metric("gauge", "streamer_replica_lag_records", "Records a replica has yet to read.", ("role", "topic")),
    Metric("gauge", "streamer_replica_ready", "1 once a replica has been read to its end.", ("role", "topic")),
    Metric("counter", "streamer_recovery_rows_total", "Changelog rows read to rebuild tables."),
    Metric("counter", "streamer_recovery_seconds_total", "Time spent in rebuilding tables."),
    Metric("gauge", "streamer_rocksdb_bytes", "Size of a task's tables on disk.", ("role", "partition")),
    Metric("gauge", "streamer_model_logloss", "Log loss, each example predicted before it was learned.", ("model",)),
    Metric("gauge", "streamer_model_auc", "ROC AUC, each example predicted before it was learned.", ("model",)),
    Metric("gauge", "streamer_model_calibration", "Mean prediction over mean label; 1 is right, above is overconfident.", ("model",)),
    Metric("gauge", "streamer_model_examples", "Examples the model has learned from.", ("model",)),
    Metric("gauge", "streamer_model_version", "Version of the model in use by this role.", ("role", "model")),
)

#: What prometheus_client adds about the process itself: memory (RSS), CPU, open files.
PROCESS_METRICS: Final = (
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
)


class BatchHistogram:
    """A histogram that takes many observations at once, for little more than a bisection each.

    ``prometheus_client.Histogram`` takes one at a time under a lock, which is microseconds an event. Registered as a
    collector of its own; one label, the role.
    """

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        self._bounds = list(metric.buckets)
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, role: str, values: Iterable[float]) -> None:
        """Count ``values`` under ``role``."""
        counts = self._counts.get(role)
        if counts is None:
            counts = self._counts[role] = [0] * (len(self._bounds) + 1)
        bounds, total = self._bounds, 0.0
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self._sums[role] = self._sums.get(role, 0.0) + total

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The family without samples; the registry asks for it to find clashes of names."""
        return [HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)]

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The family with cumulative buckets, as Prometheus wants them."""
        family = HistogramMetricFamily(self._metric.name, self._metric.help, labels=self._metric.labels)
        for role, counts in self._counts.items():
            cumulative, buckets = 0, []
            for bound, count in zip([*map(float, self._bounds), float("inf")], counts, strict=True):
                cumulative += count
                buckets.append(("+Inf" if bound == float("inf") else repr(bound), cumulative))
            family.add_metric([role], buckets, self._sums[role])
        return [family]


class Metrics:
    """What a role's tasks report. ``of(role)`` gives another role of the same process the same registry.

    Every series that can be known beforehand exists from the start at zero, so that an alert on its rate does not miss the first.
    """

    def __init__(self, role: str = "user", registry: CollectorRegistry | None = None) -> None:
        self.role = role
        self.registry = CollectorRegistry() if registry is None else registry
        ProcessCollector(registry=self.registry)
        self._all: dict[str, Any] = {metric.name: _make(metric, self.registry) for metric in METRICS}
        self._children: dict[tuple[str, ...], Any] = {}
        self._begin()

    def of(self, role: str) -> Metrics:
        """The same metrics, written to as ``role``."""
        other = object.__new__(Metrics)
        other.role, other.registry, other._all, other._children = role, self.registry, self._all, {}
        other._begin()
        return other

    def _begin(self) -> None:
        for name in ("streamer_records_total", "streamer_tasks_owned", "streamer_recovery_rows_total", "streamer_recovery_seconds_total"):
            self._child(name)
        if self.role != "user":
            return
        for name in ("streamer_candidates_total", "streamer_ranked_lists_total"):
            self._child(name)
        for outcome in OUTCOMES:
            self._child("streamer_events_total", outcome)
        for reason in REJECTIONS:
            self._child("streamer_dead_letters_total", reason)
        self._child("streamer_decisions_total", "sent")

    def _child(self, name: str, *labels: str) -> Any:
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._all[name].labels(self.role, *labels)
        return child

    def _observe(self, name: str, values: Iterable[float]) -> None:
        self._all[name].observe(self.role, values)

    # -- once a micro-batch -----------------------------------------------------------------------------------

    def batch(self, records: int, seconds: float) -> None:
        """A micro-batch of ``records`` was folded in ``seconds`` of compute."""
        self._child("streamer_records_total").inc(records)
        self._observe("streamer_batch_records", (records,))
        self._observe("streamer_batch_seconds", (seconds,))

    def effects(self, effects: Effects, seconds: float | None = None) -> None:
        """What the core made of a micro-batch. ``seconds``: its compute time, or else the sum of its stages."""
        for outcome, count in effects.counts.items():
            self._child("streamer_events_total", outcome).inc(count)
        for letter in effects.dead_letters:
            self._child("streamer_dead_letters_total", letter.reason).inc()
        verdicts: dict[str, int] = {}
        for decision in effects.decisions:
            verdicts[decision.reason] = verdicts.get(decision.reason, 0) + 1
        for reason, count in verdicts.items():
            self._child("streamer_decisions_total", reason).inc(count)
        if effects.candidates:
            self._child("streamer_candidates_total").inc(len(effects.candidates))
        for stage, spent in effects.stage_seconds.items():
            self._child("streamer_stage_seconds_total", stage).inc(spent)
        if effects.ranked:
            self._child("streamer_ranked_lists_total").inc(effects.ranked)
            whole = sum(effects.stage_seconds.values()) if seconds is None else seconds
            self._observe("streamer_decision_seconds", (whole / effects.ranked,))

    # -- once a commit ----------------------------------------------------------------------------------------

    def commit(self, seconds: float) -> None:
        """A commit took ``seconds``."""
        self._observe("streamer_commit_seconds", (seconds,))

    def latency(self, seconds: Sequence[float]) -> None:
        """The committed events were this old, from ``produced_at``. Negative ages (a clock ahead of ours) count as 0."""
        self._observe("streamer_latency_seconds", [max(0.0, age) for age in seconds])

    # -- now and then -----------------------------------------------------------------------------------------

    def owned(self, tasks: int) -> None:
        """This worker runs ``tasks`` tasks of the role."""
        self._child("streamer_tasks_owned").set(tasks)

    def standing(self, partition: int, lags: Mapping[str, int], progress_age_s: float, rocksdb_bytes: int | None = None) -> None:
        """How a task stands: lag by topic in records, seconds without progress while it had lag, size on disk."""
        for topic, lag in lags.items():
            self._child("streamer_lag_records", topic, str(partition)).set(lag)
        self._child("streamer_progress_age_seconds", str(partition)).set(progress_age_s)
        if rocksdb_bytes is not None:
            self._child("streamer_rocksdb_bytes", str(partition)).set(rocksdb_bytes)

    def revoked(self, partition: int) -> None:
        """The task moved to another worker: its gauges end here, or its last lag would alert for ever."""
        for key in [key for key in self._children if key[0] in _PER_PARTITION and key[-1] == str(partition)]:
            del self._children[key]
            self._all[key[0]].remove(self.role, *key[1:])

    def replica(self, topic: str, lag: int, *, ready: bool) -> None:
        """A replica of ``topic`` has ``lag`` records to read; ``ready`` once it has been at the end."""
        self._child("streamer_replica_lag_records", topic).set(lag)
        self._child("streamer_replica_ready", topic).set(1 if ready else 0)

    def recovered(self, rows: int, seconds: float) -> None:
        """A task's tables were brought up to date by ``rows`` changelog rows in ``seconds``."""
        self._child("streamer_recovery_rows_total").inc(rows)
        self._child("streamer_recovery_seconds_total").inc(seconds)

    def model(self, which: Contender, *, logloss: float, auc: float, calibration: float, examples: int) -> None:
        """Prequential quality of a model, as the trainer sees it."""
        for name, value in (("logloss", logloss), ("auc", auc), ("calibration", calibration), ("examples", examples)):
            self._all[f"streamer_model_{name}"].labels(which).set(value)

    def model_version(self, which: Contender, version: int) -> None:
        """The version of the model this role has published (trainer) or scores with (user)."""
        self._child("streamer_model_version", which).set(version)


_PER_PARTITION: Final = frozenset(metric.name for metric in METRICS if "partition" in metric.labels)


def _make(metric: Metric, registry: CollectorRegistry) -> Any:
    if metric.kind == "histogram":
        histogram = BatchHistogram(metric)
        registry.register(histogram)
        return histogram
    made = Counter if metric.kind == "counter" else Gauge
    return made(metric.name, metric.help, metric.labels, registry=registry)
