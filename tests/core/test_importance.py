"""What features weigh: told by the model that has not learned yet, in constant memory, and in no digest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.core.features import FEATURES
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.importance import Importance
from streamer.core.models.logistic import OnlineLogistic
from streamer.core.models.registry import MODELS
from streamer.core.models.trainer import IMPORTANCE_BLOCK, Trainer
from tests.core.test_trainer import examples, trainer

ONES = np.ones(4)


def test_a_feature_weighs_the_mean_distance_of_its_contributions_from_their_mean_in_the_list() -> None:
    """Worked out by hand: the first is 1 away from its mean 2 in each row; the second is the same in all."""
    told = Importance(["spread", "shared"])
    told.update(np.array([[1.0, 3.0, 1.0, 3.0], [5.0, 5.0, 5.0, 5.0]]), ONES)
    assert told.figures() == {"spread": 1.0, "shared": 0.0}


def test_a_row_that_stands_for_many_counts_as_many() -> None:
    """Three rows of 0 and one of 1: mean 1/4, and 3/4 * 1/4 + 1/4 * 3/4 away from it."""
    told = Importance(["one"])
    told.update(np.array([[0.0, 1.0]]), np.array([3.0, 1.0]))
    assert told.figures() == {"one": 0.375}


def test_a_question_of_one_row_is_compared_with_those_before() -> None:
    """Contributions 0, then 4, then 4: distances 0, 4 from 0, and 2 from 2."""
    told = Importance(["one"])
    for part in (0.0, 4.0, 4.0):
        told.update(np.array([[part]]), np.ones(1))
    assert told.figures() == {"one": 2.0}


def test_features_are_told_the_heaviest_first_and_ties_in_the_order_of_the_names() -> None:
    """So that the first ones can be read off."""
    told = Importance(["b", "a", "most"])
    told.update(np.array([[0.0, 2.0], [0.0, 2.0], [0.0, 6.0]]), np.ones(2))
    assert list(told.figures()) == ["most", "b", "a"]


def test_what_a_model_looked_at_long_ago_is_forgotten() -> None:
    """After a thousand lists of another kind nothing is left of the first hundred."""
    told = Importance(["before", "after"], memory=50)
    for _ in range(100):
        told.update(np.array([[0.0, 2.0], [0.0, 0.0]]), np.ones(2))
    for _ in range(1000):
        told.update(np.array([[0.0, 0.0], [0.0, 2.0]]), np.ones(2))
    assert told.figures() == pytest.approx({"after": 1.0, "before": 0.0}, abs=1e-6)


def test_a_linear_model_looks_at_features_as_far_as_their_weights_and_their_spread_go() -> None:
    """SHAP of a linear model in closed form: |weight| times the mean distance from the mean."""
    rng = np.random.default_rng(1)
    x, weights = rng.normal(size=(3, 50)), np.array([2.0, -1.0, 0.0])
    model = OnlineLogistic(["a", "b", "c"], weights)
    told = Importance(model.names)
    told.update(model.contributions_many(x), np.ones(50))
    expected = np.abs(weights) * np.abs(x - x.mean(axis=1, keepdims=True)).mean(axis=1)
    assert told.figures() == pytest.approx(dict(zip("abc", expected, strict=True)), abs=1e-6)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_contributions_of_many_rows_are_those_of_each(kind: str) -> None:
    """For every kind of model, after it has learned."""
    learned = trainer(model=kind)
    learned.learn(examples(40))
    x = np.random.default_rng(3).uniform(0, 1, (len(FEATURES), 7))
    model = learned.champion
    many = model.contributions_many(x)
    for row in range(7):
        assert many[:, row] == pytest.approx(model.contributions(x[:, row]), abs=1e-9)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_importance_is_of_models_that_had_not_learned_from_the_list(kind: str) -> None:
    """Recomputed by hand: contributions first, then learning; the champion and a challenger alike."""
    rival = next(other for other in sorted(MODELS) if other != kind)
    settings = replace(LearningSettings(), model=kind, challengers=(rival,), importance_every=1, metrics_memory=0)
    whole = Trainer(settings)
    whole.learn(examples(12))
    found = whole.importance()
    assert set(found) == {"champion", f"challenger/{rival}"}
    for name, mine in (("champion", kind), (f"challenger/{rival}", rival)):
        alone, expected = trainer(model=mine), Importance(whole.champion.names)
        for example in examples(12):
            expected.update(alone.champion.contributions_many(example.features()), example.sampling_weights())
            alone.learn([example])
        assert found[name] == pytest.approx(expected.figures(), abs=1e-6)


def test_looking_changes_nothing_that_is_learned() -> None:
    """The digest is of parameters and counters alone."""
    looks, blind = trainer(importance_every=1), trainer(importance_every=0)
    for each in (looks, blind):
        each.learn(examples(30))
    assert looks.digest() == blind.digest()
    assert looks.importance()["champion"]
    assert blind.importance() == {"champion": {}}


@pytest.mark.parametrize("cut", [1, 7])
def test_a_trainer_that_is_restored_tells_what_it_would_have_told(cut: int) -> None:
    """Through the table's rows, wherever it was cut."""
    whole, first, second = (trainer(importance_every=3, challengers=("ftrl",)) for _ in range(3))
    shown = examples(20)
    whole.learn(shown)
    first.learn(shown[:cut])
    assert not second.restore(first.state())
    second.learn(shown[cut:])
    assert second.importance() == whole.importance()


@pytest.mark.parametrize("row", [b"", b"\xc1", b"\x93\x01\xc4\x00\xc4\x00"])
def test_a_row_of_importance_that_is_damaged_costs_no_more_than_the_figures(row: bytes) -> None:
    """The model goes on."""
    learned, again = trainer(importance_every=1), trainer(importance_every=1)
    learned.learn(examples(5))
    assert not again.restore(learned.state() | {IMPORTANCE_BLOCK + "listwise": row})
    assert again.digest() == learned.digest()
    assert again.importance() == {"champion": {}}
