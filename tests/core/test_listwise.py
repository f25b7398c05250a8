"""The listwise net: its gradient, that no batch shows in a score, that it starts at the priors and is carried on."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.features import FEATURES
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.example import build_example
from streamer.core.models.listwise import Listwise, OnlineListwise, from_block
from streamer.core.models.model import GRID, ModelRefused, ServedModel, decode_block, encode_block
from streamer.core.models.registry import FEATURES_ID, prior_model
from streamer.core.models.trainer import CHAMPION_BLOCK, Trainer

F = len(FEATURES)
NAMES = (*"abcd", "own_place", "rivals")


def lists(count: int, rows: int = 40, seed: int = 5):
    """Lists [6, rows] where what is taken up is what has one of the first two features high, but not both."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = rng.uniform(-1, 1, (6, rows))
        x[5] = x[5, 0]
        y = np.zeros(rows)
        y[np.argmax(-x[0] * x[1] + 0.1 * rng.normal(size=rows))] = 1.0
        yield x, y, np.ones(rows)


def net(**changes):
    return OnlineListwise(NAMES, [0.5, 0.0, -0.5, 1.0, 0.0, 0.0], -3.0, **changes)


def taught(count: int = 60):
    model = net()
    for x, y, w in lists(count):
        assert model.learn_many(x, y, w)
    return model


def examples(count: int, seed: int = 2):
    rng = np.random.default_rng(seed)
    for n in range(count):
        x = rng.uniform(0, 1, (F, 60))
        labels = np.zeros(60, np.bool_)
        labels[np.argmax(x[0])] = True
        p = np.rint(rng.random(60) * GRID) / GRID
        found = build_example(x, labels, p, n * 7919, time_ms=n, features_id=FEATURES_ID, model_version=0)
        assert found is not None
        yield found


def trainer(model: str = "listwise"):
    return Trainer(replace(LearningSettings(), model=model))


def test_an_untaught_net_ranks_by_the_priors():
    x = np.random.default_rng(1).uniform(0, 1, (F, 100))
    assert trainer().champion.predict_many(x) == pytest.approx(prior_model().predict_many(x), abs=2**-20)


@pytest.mark.parametrize("taken", [3, 17, (3, 17)])
def test_a_step_follows_the_gradient_of_the_lists_cross_entropy_and_of_the_new_in_it(taken):
    """Checked against finite differences, sampled rows weighing as many as they stand for; the first ten are new."""
    model = taught()
    ((x, y, _),) = lists(1, seed=9)
    x[4, :10] = 0.0
    y[:] = 0.0
    y[np.array(taken)] = 1.0
    w = np.random.default_rng(3).uniform(0.5, 4, len(y))

    def loss(theta):
        scores = Listwise(NAMES, theta, 0.0).scores(x)
        of_new = -((y * w)[:10] @ scores[:10]) + (y * w)[:10].sum() * np.log(w[:10] @ np.exp(scores[:10]))
        return (-((y * w) @ scores) + 0.5 * of_new) / (y @ w) + np.log(w @ np.exp(scores))

    found = model.gradient(x, y, w)
    for at in range(0, len(found), 7):
        step = np.zeros_like(found)
        step[at] = 1e-6
        slope = (loss(model.walked + step) - loss(model.walked - step)) / 2e-6
        assert found[at] == pytest.approx(slope, abs=1e-6)


def test_what_scores_is_the_mean_of_the_steps_and_wanders_less_than_they_do():
    """Lists that contradict each other: one feature is taken up for being high as often as for being low."""
    model, rng = net(), np.random.default_rng(6)
    walked, means = [], []
    for n in range(1200):
        x = rng.uniform(-1, 1, (6, 20))
        y = np.zeros(20)
        y[x[0].argmax() if rng.random() < 0.5 else x[0].argmin()] = 1.0
        assert model.learn_many(x, y, np.ones(20))
        if n == 0:
            assert (model.theta[:-7] - model.start[:-7]) * 2 == pytest.approx(model.walked[:-7] - model.start[:-7])
        if n >= 600:
            walked.append(model.walked[0])
            means.append(model.theta[0])
    assert np.mean(walked) == pytest.approx(np.mean(means), abs=0.1)
    assert np.abs(np.diff(means)).mean() < 0.25 * np.abs(np.diff(walked)).mean()


def test_a_basket_says_as_much_as_so_many_single_purchases():
    """One list in two has a single row taken up, of the highest of a feature; the other has ten, of the lowest."""
    model, rng = net(), np.random.default_rng(6)
    for n in range(600):
        x = rng.uniform(-1, 1, (6, 40))
        order = x[1].argsort()
        y = np.zeros(40)
        y[order[-1:] if n % 2 else order[:10]] = 1.0
        assert model.learn_many(x, y, np.ones(40))
    x = np.zeros((6, 2))
    x[1] = [-0.5, 0.5]
    low, high = model.scores(x)
    assert low > high + 0.5


@pytest.mark.slow
def test_it_learns_what_no_linear_model_can():
    model = taught(3000)
    places = [int((-model.scores(x)).argsort().argsort()[y.argmax()]) for x, y, _ in lists(100, seed=77)]
    assert np.mean(np.array(places) < 4) > 0.7


@given(st.data())
def test_a_rows_score_does_not_depend_on_the_rows_beside_it(data):
    model = taught(5)
    x = np.random.default_rng(4).uniform(-2, 2, (6, 150))
    rows = data.draw(st.lists(st.integers(0, 149), min_size=1, max_size=150))
    assert model.scores(x[:, rows]).tolist() == model.scores(x)[rows].tolist()


def log_odds(model, row):
    p = model.predict_proba_many(row[:, None])[0]
    return np.log(p / (1.0 - p))


def test_contributions_add_up_to_the_log_odds_with_what_the_piece_of_the_net_has_at_zero():
    """Within a linear piece a small move of a feature moves the score by its contribution's share."""
    model = taught()
    row = np.random.default_rng(8).uniform(0.1, 1, 6)
    parts = model.contributions(row)
    for f in range(6):
        moved = row.copy()
        moved[f] *= 1 + 1e-5
        change = log_odds(model, moved) - log_odds(model, row)
        assert change == pytest.approx(parts[f] * 1e-5, abs=1e-9)


def test_probabilities_are_in_the_order_of_the_scores_and_scoring_changes_nothing():
    model = taught()
    x = np.random.default_rng(4).uniform(-1, 1, (6, 50))
    x[5] = 0.3
    before = model.block()
    assert (model.predict_proba_many(x).argsort() == model.scores(x).argsort()).all()
    model.contributions(x[:, 0])
    assert model.block() == before


@pytest.mark.slow
def test_a_list_of_stronger_rivals_promises_less_of_each_row_and_the_promise_is_kept():
    """Lists of 10 and of 80 alike rows, of which one is taken up: their softmax cannot tell them apart."""
    model, rng = net(), np.random.default_rng(12)
    promised: dict[int, list[float]] = {10: [], 80: []}
    for n in range(3000):
        rows = 10 if rng.random() < 0.5 else 80
        x = rng.uniform(-0.1, 0.1, (6, rows))
        x[5] = np.log2(rows) / 4
        y = np.zeros(rows)
        y[rng.integers(rows)] = 1.0
        if n >= 2000:
            promised[rows].append(model.predict_proba_many(x).mean())
        model.learn_many(x, y, np.ones(rows))
    assert np.mean(promised[80]) == pytest.approx(1 / 80, rel=0.4)
    assert np.mean(promised[10]) > 3 * np.mean(promised[80])


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e308])
def test_a_step_that_is_not_finite_is_not_taken(poison):
    model = taught(5)
    before = model.block()
    ((x, y, w),) = lists(1)
    x[2, 3] = poison
    with np.errstate(all="ignore"):
        assert not model.learn_many(x, y, w)
    assert model.block() == before


def test_a_block_carries_the_net_bit_for_bit_and_a_damaged_one_is_refused():
    model = taught(5)
    x = np.random.default_rng(4).uniform(-1, 1, (6, 50))
    assert from_block(model.block(), NAMES).predict_many(x).tolist() == model.predict_many(x).tolist()
    block = decode_block(model.block())
    poisoned = np.full_like(model.theta, np.nan).tobytes()
    for damage in ({"weights": block.weights[:-8]}, {"weights": poisoned}, {"features": 1}, {"kind": "logistic"}):
        with pytest.raises(ModelRefused):
            from_block(encode_block(msgspec.structs.replace(block, **damage)), NAMES)


def test_what_the_trainer_publishes_is_served_as_it_predicts():
    learned, served = trainer(), ServedModel()
    learned.learn(list(examples(20)))
    ((key, block),) = learned.blocks().items()
    assert key == "champion/listwise"
    assert served.apply(key, block)
    (example,) = examples(1, seed=8)
    assert served.predict_many(example.features()) == pytest.approx(learned.predict(example), abs=2**-20)
    assert len(block) < 64 * 1024


def test_a_restored_trainer_goes_on_as_the_one_that_never_stopped():
    lasting, stopped, restored = trainer(), trainer(), trainer()
    for each in (lasting, stopped):
        each.learn(list(examples(20)))
        each.blocks()
    assert restored.restore(stopped.state()) == ""
    for each in (lasting, restored):
        each.learn(list(examples(20, seed=5)))
    assert restored.state() == lasting.state()


def test_a_table_of_the_other_kind_is_begun_anew_and_its_versions_go_on():
    old, new = trainer("logistic"), trainer()
    old.learn(list(examples(3)))
    assert CHAMPION_BLOCK in old.state()
    assert new.restore(old.state()) == ""
    new.learn(list(examples(1)))
    assert new.champion.version == old.champion.version + 1


def test_a_kind_that_is_not_known_is_refused_by_name():
    with pytest.raises(ValueError, match="of-tomorrow"):
        trainer("of-tomorrow")
