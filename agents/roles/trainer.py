"""The trainer role: labelled examples in; the model's parameters in a table, touched blocks out on ``model``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import orjson

from agents.challenger import Challenger
from agents.clusters import kmeans
from agents.role import NEVER, TaskRow
from agents.task import TASKS_TABLE
from state.codecs import RawCodec, StructCodec
from state.table import TableSpec
from streamer.core.learners import Learners
from streamer.core.predictions.served import PREDICT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.role import TaskContext
    from streamer.core.record import Record
    from streamer.core.settings import CoreSettings

log = logging.getLogger(__name__)

CHALLENGER_BLOCK = "challenger/river"
#: Of topic ``model``: what the features of a model weigh, under this and the model's name.
IMPORTANCE = "importance/"


class TrainerRole:
    """One task: the model. River's models are imported here and nowhere else in a worker."""

    name = "trainer"
    inputs = ("examples",)
    first: frozenset[str] = frozenset()
    journaled = False
    tables: tuple[TableSpec[Any], ...] = (
        TableSpec("model_state", RawCodec()),
        TableSpec(TASKS_TABLE, StructCodec(TaskRow)),
    )

    #: A feature list names itself in each block (``model.features_id``).
    units: Mapping[str, int] = {}

    def __init__(self, core: CoreSettings, *, commit_interval_s: float, challenger_interval_commits: int = 30) -> None:
        self.core, self.commit_interval_s = core, commit_interval_s
        self.challenger_interval_commits = challenger_interval_commits

    def replicas(self) -> None:
        """None are read."""

    def open(self, context: TaskContext) -> TrainerWork:
        """Restore the model from its table."""
        return TrainerWork(self, context)


class TrainerWork:
    """Learns from each record once, in log order, and publishes what changed."""

    due_ms = NEVER
    changes = 0
    reached = 0

    def __init__(self, role: TrainerRole, context: TaskContext) -> None:
        self._context, self._role = context, role
        table = context.store.table("model_state")
        blocks = {key.decode(): value for key, value in table.scan_rows()}
        self._challenger = Challenger(every=role.core.learning.challenger_every)
        if (snapshot := blocks.get(CHALLENGER_BLOCK)) is not None:
            self._challenger.restore(snapshot)
        self._learners = Learners(role.core, beside=self._challenger.learn, clusters=kmeans)
        for problem in self._learners.restore(blocks):
            log.error("%s", problem)
        self._examples = self._learners.ranker.examples
        self._commits = 0
        self._told: dict[str, dict[str, float]] = {}

    def process(self, records: Sequence[Record]) -> Mapping[str, int]:
        """Predict, score, then learn, record by record."""
        ranker, learn = self._learners.ranker, self._learners.learn
        served, collapsed, left_out = ranker.contest.champion, ranker.collapsed, 0
        for record in records:
            if not learn(record.value or b""):
                left_out += 1
                log.error("examples:%d:%d cannot be read and was left out", record.partition, record.offset)
        if ranker.contest.champion != served:
            log.warning("%s is served from now on in place of %s", ranker.contest.champion, served)
        if ranker.collapsed and not collapsed:
            log.error("examples have lost what they usually contain: nothing is learned or published until it is back")
        elif collapsed and not ranker.collapsed:
            log.warning("examples contain again what they usually do: learning goes on")
        return {"applied": len(records) - left_out}

    def before_commit(self) -> None:
        """Write the learners' whole state; publish the served blocks."""
        context, learners = self._context, self._learners
        table, send = context.store.table("model_state"), context.topic("model")
        restored = learners.ranker.restored
        published = learners.published()
        if learners.ranker.restored != restored:
            log.error("the champion had parameters that are not finite: those published last are in their place")
        table.write(learners.rows())
        self._commits += 1
        if self._commits % self._role.challenger_interval_commits == 1:
            table.put(CHALLENGER_BLOCK, self._challenger.snapshot())
        for block, value in published.items():
            context.outbox.add(send, 0, block.encode(), value)
        for name, figures in (learners.metrics() | {"challenger": self._challenger.metrics()}).items():
            # Prometheus has one series of what was served, the ranker's.
            own = {key: value for key, value in figures.items() if not key.startswith("served_")}
            context.metrics.model(name, own if name.startswith(PREDICT) else figures)
            context.outbox.add(send, 0, f"metrics/{name}".encode(), orjson.dumps(figures))
        importance = learners.importance()
        for name, weighs in importance.items():
            if weighs != self._told.get(name):
                context.outbox.add(send, 0, f"{IMPORTANCE}{name}".encode(), orjson.dumps(weighs))
        self._told = importance
        context.metrics.vectors(len(learners.vectors), learners.vectors.loss)
        context.metrics.examples(learners.ranker.examples - self._examples)
        self._examples = learners.ranker.examples
