"""Evaluation and the live stream are one engine: what one learns from, the other does, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from streamer.core.events import Event
from streamer.core.items.deltas import ItemDeltas
from streamer.core.items.fold import apply_block
from streamer.core.items.rows import index_row
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.trainer import Trainer
from streamer.core.parse import Limits, parse
from streamer.core.sessions.rows import session_key, session_row
from streamer.core.settings import CoreSettings
from streamer.core.vectors.block import BLOCKS
from streamer.core.vectors.learner import OnlineVectors
from streamer.core.vectors.step import Step
from streamer.core.views import Views
from streamer.evaluate import EvaluateSettings, evaluate
from streamer.evaluation import engine as module
from tests.core.task_shop import ItemRows, Shop, browsing

if TYPE_CHECKING:
    from streamer.core.models.example import Example

SETTINGS = CoreSettings(learning=LearningSettings(learn_rate=1.0))
RECORDS = browsing(400, users=12)


class Live:
    """The engine fed record by record, item deltas and examples going round the loops at once, as bytes."""

    def __init__(self) -> None:
        self.shop, self.rows, self.trainer = Shop(SETTINGS), ItemRows(), Trainer(SETTINGS.learning)
        self.vectors = OnlineVectors(SETTINGS.vectors)
        shop = self.shop
        shop.views = Views(shop.profiles, shop.seen, shop.policy, shop.index, self.trainer.champion)

    def step(self, record):
        effects = self.shop.step([record])
        for block in self.shop.deltas.blocks(1).values():
            for key, state in apply_block(block, self.rows, SETTINGS.items).items():
                self.rows.states[f"{key:016x}"] = state
                self.shop.index.apply_row(key, index_row(state, SETTINGS.items))
        self.shop.deltas = ItemDeltas()
        sessions = SETTINGS.retrieval.sessions
        for user, profile in effects.profiles.items():
            assert profile is not None
            row = session_row(profile, sessions)
            if row is not None:
                self.shop.index.sessions.apply(session_key(user, profile.sessions, sessions), row)
        self.trainer.learn(effects.examples)
        for step in effects.steps:
            read = Step.decode(step.encode())
            assert read is not None
            self.vectors.learn(read)
        for name, block in self.vectors.published(BLOCKS).items():
            self.shop.index.vectors.apply(name, block)


def evaluated(core: CoreSettings) -> list[bytes]:
    """The examples that an evaluation of the same records learns from."""
    examples: list[Example] = []

    class Watched(Trainer):
        def learn(self, shown):
            examples.extend(shown)
            super().learn(shown)

    events = [found for record in RECORDS if isinstance(found := parse(record, Limits()), Event)]
    assert len(events) == len(RECORDS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "Trainer", Watched)
        evaluate(events, EvaluateSettings(baselines="none", core=core))
    return [example.encode() for example in examples]


@pytest.fixture(scope="module")
def examples() -> list[bytes]:
    """With every event a lesson."""
    return evaluated(SETTINGS)


@pytest.mark.slow
def test_the_live_engine_learns_from_the_very_examples_that_evaluation_does(examples):
    """With the loops closed at once, both see the same states, lists, labels and models."""
    live = Live()
    for record in RECORDS:
        live.step(record)

    assert len(examples) > 100
    assert [e.encode() for e in live.shop.total.examples] == examples


@pytest.mark.slow
def test_the_seed_of_the_samples_shows(examples):
    """So that the test above compares what it says: other samples are other examples."""
    assert evaluated(replace(SETTINGS, seed=2)) != examples
