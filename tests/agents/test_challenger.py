"""The challenger: a real River model, cheap, bounded, and compared with the champion on the same rows."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
from river import linear_model, metrics, naive_bayes, preprocessing, tree

from agents.challenger import MAX_SNAPSHOT_BYTES, Challenger, scaled_logistic
from streamer.core.models.example import Example, build_example

NAMES = tuple(f"f{n}" for n in range(6))
ID = 77


def examples(count: int, seed: int = 1, rows: int = 40):
    """Lists in which items with a middling first feature are taken up: what no linear model can tell."""
    rng = np.random.default_rng(seed)
    found: list[Example] = []
    while len(found) < count:
        x = rng.uniform(-1, 1, (len(NAMES), rows))
        labels = rng.random(rows) < np.where(np.abs(x[0]) < 0.4, 0.3, 0.01)
        example = build_example(
            x, labels, np.full(rows, 0.1), len(found) * 7919 + seed, time_ms=0, features_id=ID, model_version=0
        )
        if example is not None:
            found.append(example)
    return found


def challenger(**changes):
    return Challenger(NAMES, features_id=ID, **({"every": 1} | changes))


def flat(example):
    """A champion that says one in ten of everything."""
    return np.full(example.rows(), 0.1)


def small_tree():
    """It can learn what no linear model can."""
    return preprocessing.StandardScaler() | tree.HoeffdingTreeClassifier(grace_period=1000, max_depth=4)


def taught(shown, **changes):
    model = challenger(**changes)
    for example in shown:
        model.learn(example, flat(example))
    return model


def test_it_learns_what_the_champion_cannot():
    found = taught(examples(1500), make=small_tree).metrics()
    assert found["auc"] > 0.65
    assert found["champion_auc"] == pytest.approx(0.5, abs=0.01)
    assert found["logloss"] < found["champion_logloss"]


def test_its_log_loss_is_rivers_over_predictions_made_before_learning():
    """Recomputed by hand with another pipeline of the same kind, row by row, on lists short enough to be used whole."""

    def make():
        return preprocessing.StandardScaler() | linear_model.LogisticRegression()

    shown = [e for e in examples(60, rows=4) if sum(e.labels) < 4]
    by_hand, loss, champion_loss = make(), metrics.LogLoss(), metrics.LogLoss()
    for example in shown:
        for row, y, w in zip(example.features().T, example.labels, example.sampling_weights().tolist(), strict=True):
            x = dict(zip(NAMES, row.tolist(), strict=True))
            loss.update(bool(y), by_hand.predict_proba_one(x).get(True, 0.5), w)
            champion_loss.update(bool(y), 0.1, w)
            by_hand.learn_one(x, bool(y), w=w)
    found = taught(shown, make=make).metrics()
    assert found["logloss"] == pytest.approx(loss.get(), abs=1e-9)
    assert found["champion_logloss"] == pytest.approx(champion_loss.get(), abs=1e-9)


def test_it_takes_a_few_rows_of_every_nth_example_and_they_stand_for_all():
    shown = examples(40)
    few = taught(shown, every=4)
    assert few.examples == 10
    assert few.rows <= 10 * 7
    for example in shown:
        rows = list(few._few(example))
        assert sum(w for *_, y, w in rows if y) == pytest.approx(sum(example.labels))
        assert sum(w for *_, y, w in rows if not y) == pytest.approx(
            float(((1 - example.outcomes()) * example.sampling_weights()).sum())
        )


@pytest.mark.parametrize("make", [scaled_logistic, small_tree])
def test_a_restored_challenger_predicts_as_the_one_that_never_stopped(make):
    lasting = taught(examples(300), make=make)
    restored = challenger(make=make)
    assert restored.restore(lasting.snapshot())
    assert (restored.examples, restored.rows) == (lasting.examples, lasting.rows)
    for example in examples(20, seed=9):
        for _, x, _, _ in lasting._few(example):
            assert restored._model.predict_proba_one(x) == lasting._model.predict_proba_one(x)


@pytest.mark.slow
def test_the_snapshot_of_a_well_fed_tree_stays_within_its_limit():
    model = taught(examples(3000), negatives=6, make=small_tree)
    assert len(model.snapshot()) <= MAX_SNAPSHOT_BYTES
    assert model.resets == 0


def test_a_model_that_outgrows_its_snapshot_begins_anew_and_says_so(caplog):
    model = taught(examples(50), max_bytes=3000, make=small_tree)
    with caplog.at_level(logging.ERROR):
        snapshot = model.snapshot()
    assert len(snapshot) <= 3000
    assert model.metrics()["resets"] == 1
    assert "begins anew" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"noise", pickle.dumps((99, ID, None, 0, 0, 0)), pickle.dumps(print)])
def test_a_snapshot_that_does_not_fit_is_refused_and_the_model_begins_anew(damage, caplog):
    model = challenger()
    with caplog.at_level(logging.ERROR):
        assert not model.restore(damage)
    assert "begins anew" in caplog.text
    model.learn(examples(1)[0], flat(examples(1)[0]))
    assert model.examples == 1


def test_an_example_of_another_feature_list_is_passed_over():
    model = Challenger(NAMES, every=1, features_id=ID + 1)
    model.learn(examples(1)[0], flat(examples(1)[0]))
    assert model.examples == 0


def test_a_classifier_that_takes_no_weights_can_challenge_too():
    assert taught(examples(30), make=naive_bayes.GaussianNB).metrics()["logloss"] > 0
