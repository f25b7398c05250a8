"""What is learned from the outcomes of predictions, scored before it is learned from; its blocks, whole and damaged."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.predictions.example import Outcome, outcome_of
from streamer.core.predictions.pending import Open
from streamer.core.predictions.predictor import NONE_OF_THEM, Moment
from streamer.core.predictions.registry import BY_NAME
from streamer.core.predictions.served import PREDICT, Served
from streamer.core.predictions.trainer import PredictionTrainer
from streamer.core.profile import fold
from streamer.core.settings import HOUR_MS
from tests.core.foreseen import ALL, event
from tests.core.task_shop import T0


def outcomes(count: int = 400, seed: int = 3) -> list[Outcome]:
    """Of shoppers who buy if they have put something into the cart in this visit, as a rule."""
    rng = random.Random(seed)
    purchase = BY_NAME["purchase"]
    found = []
    trainer = PredictionTrainer(ALL.predictions)
    for n in range(count):
        carts = rng.random() < 0.3
        profile = fold(None, event("ann", "cart" if carts else "view", T0 + n, "a", "shoes"), ALL.profile)
        keys, rows = purchase.describe(Moment(profile, T0 + n, ALL.predictions, ALL.profile))
        x = np.array(rows, "<f2").tobytes()
        waited = Open("purchase", purchase.features_id, 1, n, T0 + n, T0 + n, HOUR_MS, keys, x)
        yes = rng.random() < (0.6 if carts else 0.02)
        found.append(outcome_of(waited, 0 if yes else NONE_OF_THEM, trainer))
    return found


def test_it_learns_what_there_is_to_learn_and_is_calibrated() -> None:
    trainer = PredictionTrainer(replace(ALL.predictions, metrics_memory=500))
    for example in outcomes(4000):
        trainer.learn_one(example)
    told = trainer.metrics()["purchase"]
    assert told["auc"] > 0.85
    assert told["calibration_error"] < 0.05
    assert told["outcomes"] == 4000
    assert told["rate"] == pytest.approx(0.3 * 0.6 + 0.7 * 0.02, abs=0.05)


def test_what_tells_buyers_from_others_weighs_most() -> None:
    trainer = PredictionTrainer(ALL.predictions)
    for example in outcomes(1000):
        trainer.learn_one(example)
    weighs = trainer.importance()["purchase"]
    assert next(iter(weighs)) in {"in_cart", "carted_now", "newest_in_cart", "cart_rate"}
    assert trainer.importance()["churn"] == {}


def test_outcomes_are_scored_before_they_are_learned_from() -> None:
    trainer = PredictionTrainer(ALL.predictions)
    (first,) = outcomes(1)
    trainer.learn_one(first)
    said = first.served()[0]
    loss = -np.log(said if first.outcome == 0 else 1 - said)
    assert trainer.metrics()["purchase"]["logloss"] == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("cut", [1, 150, 399])
def test_a_trainer_goes_on_from_its_state_and_its_blocks_are_served(cut: int) -> None:
    shown = outcomes()
    whole, first = PredictionTrainer(ALL.predictions), PredictionTrainer(ALL.predictions)
    for example in shown:
        whole.learn_one(Outcome.decode(example.encode()) or pytest.fail("is not read"))
    for example in shown[:cut]:
        first.learn_one(example)
    again = PredictionTrainer(ALL.predictions)
    assert again.restore(first.state()) == ""
    for example in shown[cut:]:
        again.learn_one(example)
    assert again.digest() == whole.digest()
    assert again.metrics()["purchase"]["auc"] == whole.metrics()["purchase"]["auc"]
    assert again.importance() == whole.importance()

    served = Served()
    blocks = whole.blocks()
    assert set(blocks) == {PREDICT + "purchase"}
    assert all(served.apply(key, block) for key, block in blocks.items())
    assert whole.blocks() == {}
    x = shown[0].x_many()
    features = BY_NAME["purchase"].features_id
    assert served.probabilities("purchase", features, x) == whole.probabilities("purchase", features, x)
    assert served.version("purchase") == 1


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_block_of_another_predictor_or_damaged_brings_the_priors_back(name: str) -> None:
    trainer = PredictionTrainer(ALL.predictions)
    for example in outcomes(50):
        trainer.learn_one(example)
    block = trainer.state()[PREDICT + "purchase"]
    served, fresh = Served(), Served()
    if name != "purchase":
        assert not served.apply(PREDICT + name, block)
        assert served.problem
    assert not served.apply(PREDICT + name, block[:-3])
    assert not served.apply(PREDICT + name, b"")
    x = np.ones((len(BY_NAME[name].names), 1))
    features = BY_NAME[name].features_id
    assert served.probabilities(name, features, x) == fresh.probabilities(name, features, x)
    assert served.apply(PREDICT + "weather", b"")
    assert served.apply("champion/logistic", b"")


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_what_is_no_outcome_is_not_read_as_one(noise: bytes) -> None:
    found = Outcome.decode(noise)
    assert found is None or found.version == 1


def test_an_outcome_with_a_byte_damaged_is_refused_or_leaves_a_finite_model() -> None:
    (whole,) = outcomes(1)
    for at in range(len(whole.encode())):
        damaged = bytearray(whole.encode())
        damaged[at] ^= 0xFF
        trainer = PredictionTrainer(ALL.predictions)
        if (read := Outcome.decode(bytes(damaged))) is not None:
            trainer.learn_one(read)
        assert np.isfinite(trainer.probabilities("purchase", BY_NAME["purchase"].features_id, whole.x_many())).all()
