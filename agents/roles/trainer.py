"""The trainer role: labelled examples in; the model's parameters in a table, touched blocks out on ``model``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import orjson

from agents.challenger import Challenger
from agents.role import NEVER, TaskRow
from agents.task import TASKS_TABLE
from state.codecs import RawCodec, StructCodec
from state.table import TableSpec
from streamer.core.models.example import Example
from streamer.core.models.trainer import CHALLENGER, Trainer
from streamer.core.predictions.example import Outcome
from streamer.core.predictions.served import PREDICT
from streamer.core.predictions.trainer import PredictionTrainer
from streamer.core.vectors.learner import OnlineVectors
from streamer.core.vectors.step import Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.role import TaskContext
    from streamer.core.record import Record
    from streamer.core.settings import CoreSettings

log = logging.getLogger(__name__)

CHALLENGER_BLOCK = "challenger/river"


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

    def __init__(self, core: CoreSettings, *, commit_interval_s: float, challenger_interval_commits: int = 30) -> None:
        self.core, self.commit_interval_s = core, commit_interval_s
        self.challenger_interval_commits = challenger_interval_commits

    def replicas(self) -> None:
        """None are read."""

    def open(self, context: TaskContext) -> TrainerWork:
        """Restore the model from its table."""
        return TrainerWork(self, context)


class TrainerWork:
    """Learns from each example once, in log order, and publishes what changed."""

    due_ms = NEVER
    reached = 0

    def __init__(self, role: TrainerRole, context: TaskContext) -> None:
        self._context, self._role = context, role
        table = context.store.table("model_state")
        blocks = {key.decode(): value for key, value in table.scan_rows()}
        self._trainer = Trainer(role.core.learning)
        if problem := self._trainer.restore(blocks):
            log.error("the model begins anew from its priors: %s", problem)
        self._predictions = PredictionTrainer(role.core.predictions)
        if problem := self._predictions.restore(blocks):
            log.error("predictors begin anew from their priors: %s", problem)
        self._vectors = OnlineVectors(role.core.vectors)
        if problem := self._vectors.restore(blocks):
            log.error("vectors begin anew: %s", problem)
        self._challenger = Challenger(every=role.core.learning.challenger_every)
        if (snapshot := blocks.get(CHALLENGER_BLOCK)) is not None:
            self._challenger.restore(snapshot)
        self._commits = 0
        self._learned = 0

    def process(self, records: Sequence[Record]) -> Mapping[str, int]:
        """Predict, score, then learn, example by example; the predictors and the vectors by what else came."""
        examples = []
        others = 0
        for record in records:
            value = record.value or b""
            if (example := Example.decode(value)) is not None:
                examples.append(example)
                continue
            if (step := Step.decode(value)) is not None:
                self._vectors.learn(step)
            elif (outcome := Outcome.decode(value)) is not None:
                self._predictions.learn_one(outcome)
            else:
                log.error("examples:%d:%d cannot be read and was left out", record.partition, record.offset)
                continue
            others += 1
        served, collapsed, ours = self._trainer.contest.champion, self._trainer.collapsed, self._trainer
        for example in examples:
            self._challenger.learn(example, ours.learn_one(example))
        if ours.contest.champion != served:
            log.warning("%s is served from now on in place of %s", ours.contest.champion, served)
        if ours.collapsed and not collapsed:
            log.error("examples have lost what they usually contain: nothing is learned or published until it is back")
        elif collapsed and not ours.collapsed:
            log.warning("examples contain again what they usually do: learning goes on")
        self._learned += len(examples)
        return {"applied": len(examples) + others}

    def before_commit(self) -> None:
        """Write the trainer's whole state; publish the served blocks."""
        context = self._context
        table = context.store.table("model_state")
        restored = self._trainer.restored
        # First what is published: it is then that parameters which are not finite give way, before they are stored.
        published = self._trainer.blocks() | self._predictions.blocks()
        if self._trainer.restored != restored:
            log.error("the champion had parameters that are not finite: those published last are in their place")
        for block, value in (self._trainer.state() | self._predictions.state()).items():
            table.put(block, value)
        for block, row in self._vectors.rows().items():
            if row is None:
                table.delete(block)
            else:
                table.put(block, row)
        self._commits += 1
        if self._commits % self._role.challenger_interval_commits == 1:
            table.put(CHALLENGER_BLOCK, self._challenger.snapshot())
        for block, value in (published | self._vectors.published()).items():
            context.outbox.add(context.topic("model"), 0, block.encode(), value)
        champion = self._trainer.metrics() | {"version": float(self._trainer.champion.version)}
        told = {"champion": champion, "challenger": self._challenger.metrics()}
        told |= {CHALLENGER + kind: measures for kind, measures in self._trainer.challengers().items()}
        for which, measures in told.items():
            context.metrics.model(which, measures)
            context.outbox.add(context.topic("model"), 0, f"metrics/{which}".encode(), orjson.dumps(measures))
        for name, figures in self._predictions.metrics().items():
            which, own = PREDICT + name, {key: value for key, value in figures.items() if not key.startswith("served_")}
            context.metrics.model(which, own)
            context.outbox.add(context.topic("model"), 0, f"metrics/{which}".encode(), orjson.dumps(figures))
        context.metrics.vectors(len(self._vectors), self._vectors.loss)
        context.metrics.examples(self._learned)
        self._learned = 0
