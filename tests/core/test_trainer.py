"""The trainer: predicts before it learns, never publishes what is not finite, goes on from where it was."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from streamer.core.features import FEATURES
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.example import Example, build_example
from streamer.core.models.metrics import BinaryMetrics
from streamer.core.models.model import ServedModel, decode_block, encode_block
from streamer.core.models.registry import FEATURES_ID, decode, describe, prior_model
from streamer.core.models.trainer import LEARNER_BLOCK, Trainer

F = len(FEATURES)


def examples(count: int, seed: int = 2, features_id: int = FEATURES_ID, rows: int = 60):
    """Lists of ``rows`` of which the first feature decides what is taken up."""
    rng = np.random.default_rng(seed)
    found: list[Example] = []
    while len(found) < count:
        x = rng.uniform(0, 1, (F, rows))
        labels = rng.random(rows) < 1 / (1 + np.exp(5 - 4 * x[0]))
        p = np.rint(rng.random(rows) * 2**20) / 2**20
        example = build_example(
            x, labels, p, len(found) * 7919, time_ms=len(found), features_id=features_id, model_version=0
        )
        if example is not None:
            found.append(example)
    return found


def trainer(**changes):
    return Trainer(replace(LearningSettings(), **changes))


def test_an_untaught_trainer_predicts_as_the_priors():
    (example,) = examples(1)
    prior = prior_model().predict_many(example.features())
    assert trainer().predict(example) == pytest.approx(prior, abs=2**-20)


def test_metrics_are_of_predictions_made_before_learning():
    """Each example's loss is that of the model as it stood: recomputed here by predicting, then learning, by hand."""
    trained, by_hand, expected = trainer(metrics_memory=0), trainer(), BinaryMetrics()
    for example in examples(40):
        expected.update(example.outcomes(), by_hand.predict(example), example.sampling_weights())
        by_hand.learn([example])
    trained.learn(examples(40))
    assert trained.metrics()["logloss"] == expected.logloss()
    assert trained.metrics()["auc"] == expected.auc()


def test_the_served_figures_are_of_what_was_served():
    learned, expected = trainer(metrics_memory=0), BinaryMetrics()
    for example in examples(10):
        expected.update(example.outcomes(), example.served(), example.sampling_weights())
    learned.learn(examples(10))
    assert learned.metrics()["served_logloss"] == expected.logloss()


@pytest.mark.slow
def test_it_gets_better_at_what_it_is_shown():
    learned = trainer(metrics_memory=100)
    learned.learn(examples(100))
    early = learned.metrics()
    learned.learn(examples(1500, seed=9))
    late = learned.metrics()
    assert late["logloss"] < early["logloss"]
    assert late["auc"] > early["auc"] + 0.05


@pytest.mark.parametrize("cut", [1, 7, 50])
def test_how_examples_are_batched_leaves_no_trace(cut):
    whole, parts = trainer(), trainer()
    shown = examples(50)
    whole.learn(shown)
    for i in range(0, 50, cut):
        parts.learn(shown[i : i + cut])
    assert parts.digest() == whole.digest()
    assert parts.state() == whole.state()


def test_a_version_is_published_once_and_only_if_something_was_learned():
    learned = trainer()
    assert learned.blocks() == {}
    learned.learn(examples(3))
    learned.learn(examples(2, seed=4))
    first = learned.blocks()
    assert list(first) == [learned.block_key]
    assert decode_block(first[learned.block_key]).version == 1
    assert learned.blocks() == {}
    learned.learn(examples(1))
    assert decode_block(learned.blocks()[learned.block_key]).version == 2


def test_what_is_published_is_served_as_the_trainer_predicts():
    learned, served = trainer(), ServedModel()
    learned.learn(examples(30))
    (key, block) = next(iter(learned.blocks().items()))
    assert served.apply(key, block)
    (example,) = examples(1, seed=8)
    assert served.predict_many(example.features()) == pytest.approx(learned.predict(example), abs=2**-20)
    assert served.version == 1


def test_a_restored_trainer_goes_on_as_the_one_that_never_stopped():
    lasting, stopped, restored = trainer(), trainer(), trainer()
    first, second = examples(30), examples(30, seed=5)
    for each in (lasting, stopped):
        each.learn(first)
        each.blocks()
    assert restored.restore(stopped.state()) == ""
    for each in (lasting, restored):
        each.learn(second)
    assert restored.state() == lasting.state()
    assert restored.blocks() == lasting.blocks()


def test_state_taken_before_and_after_publishing_is_the_same():
    """So that a version once published is never given out again with other parameters."""
    learned = trainer()
    learned.learn(examples(5))
    before = learned.state()
    learned.blocks()
    assert learned.state() == before


def test_an_example_of_another_feature_list_is_refused_and_counted():
    learned = trainer()
    before = learned.champion.block()
    learned.learn(examples(2, features_id=5))
    assert learned.champion.block() == before
    assert (learned.refused, learned.examples) == (2, 0)


def test_poisoned_features_leave_the_last_good_parameters():
    learned = trainer()
    (good,) = examples(1)
    poisoned = msgspec.structs.replace(good, x=np.full((F, good.rows()), np.inf, "<f2").tobytes())
    learned.learn([good])
    before = learned.champion.block()
    learned.learn([poisoned])
    assert learned.champion.block() == before
    assert learned.champion.is_finite()
    assert learned.refused == 1


def test_poisoned_weights_leave_the_last_good_parameters():
    learned = trainer(clip=float("inf"))
    (good,) = examples(1)
    learned.learn([msgspec.structs.replace(good, weights=np.full(good.rows(), np.nan, "<f4").tobytes())])
    assert learned.champion.block() == trainer().champion.block()
    assert learned.refused == 1


def test_state_of_another_feature_list_begins_at_the_priors_but_counts_versions_on():
    block = decode_block(trainer().champion.block())
    foreign = encode_block(msgspec.structs.replace(block, features=1, version=41))
    restored = trainer()
    assert "another list of features" in restored.restore({restored.block_key: foreign, LEARNER_BLOCK: b""})
    restored.learn(examples(1))
    assert decode_block(restored.blocks()[restored.block_key]).version == 42


def test_a_published_block_can_be_read_by_people():
    learned = trainer()
    learned.learn(examples(5))
    (block,) = learned.blocks().values()
    found = describe(block)
    assert (found["kind"], found["version"], found["bias"]) == (LearningSettings().model, 1, learned.champion.bias)
    assert found["weights"] == dict(zip(learned.champion.names, learned.champion.weights.tolist(), strict=True))


def test_an_empty_table_is_no_problem():
    assert trainer().restore({}) == ""


def test_a_model_of_a_kind_not_known_is_refused_by_the_replica():
    served = ServedModel()
    assert not served.apply("champion/of-tomorrow", b"")
    assert "of-tomorrow" in served.problem
    with pytest.raises(Exception, match="older than the trainer"):
        decode("champion/of-tomorrow", b"")
