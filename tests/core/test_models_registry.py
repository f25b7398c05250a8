"""What every kind of model promises, held over the registry: a new one is tested before it has tests of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.features import FEATURES
from streamer.core.learning_settings import KINDS, LearningSettings
from streamer.core.models.model import GRID, ModelRefused, decode_block, encode_block
from streamer.core.models.registry import FEATURE_NAMES, MODELS, decode, learner, prior_model

F = len(FEATURES)
SETTINGS = LearningSettings(l1=0.1, l2=0.001)

each_kind = pytest.mark.parametrize("kind", list(MODELS))


def lists(count: int, rows: int = 30, seed: int = 5):
    """Lists [F, rows] of which what has the first feature high, or the second low, is taken up; and weights."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        x = rng.uniform(0, 1, (F, rows))
        y = np.zeros(rows)
        y[np.argmax(x[0] - x[1] + 0.1 * rng.normal(size=rows))] = 1.0
        yield x, y, np.where(y > 0, 1.0, rng.uniform(1, 5, rows))


def taught(kind: str, count: int = 40, seed: int = 5):
    model = learner(kind, SETTINGS)
    for x, y, w in lists(count, seed=seed):
        assert model.learn_many(x, y, w)
    return model


def rows(n: int, seed: int = 4):
    return np.random.default_rng(seed).uniform(-1, 1, (F, n))


def log_odds(model, x):
    p = model.predict_proba_many(x)
    return np.log(p / (1 - p))


def test_the_settings_know_the_kinds_of_the_registry():
    assert set(KINDS) == set(MODELS)


@each_kind
def test_an_untaught_model_ranks_about_as_the_priors_do(kind):
    """Exactly, but for what has to begin with small random numbers."""
    x = np.random.default_rng(1).uniform(0, 1, (F, 200))
    prior = prior_model().predict_many(x)
    assert np.corrcoef(log_odds(learner(kind, SETTINGS), x), np.log(prior / (1 - prior)))[0, 1] > 0.995


@each_kind
def test_two_that_were_taught_the_same_are_the_same_bit_for_bit(kind):
    assert taught(kind).block() == taught(kind).block()
    assert taught(kind).memory().tobytes() == taught(kind).memory().tobytes()
    assert taught(kind).block() != taught(kind, seed=6).block()


@each_kind
def test_it_gets_better_at_what_it_is_shown(kind):
    def loss(model):
        found = [
            -(w * np.log(np.where(y > 0, p, 1 - p))).sum() / w.sum()
            for x, y, w in lists(100, seed=77)
            for p in [model.predict_proba_many(x)]
        ]
        return float(np.mean(found))

    assert loss(taught(kind, 2000)) < 0.6 * loss(learner(kind, SETTINGS))


@each_kind
@settings(max_examples=25)
@given(chosen=st.lists(st.integers(0, 599), min_size=1, max_size=600))
def test_a_rows_score_does_not_depend_on_the_rows_beside_it(kind, chosen):
    model, x = _TAUGHT[kind], rows(600)
    assert model.predict_proba_many(x[:, chosen]).tolist() == _WHOLE[kind][chosen].tolist()


@each_kind
def test_probabilities_for_ranking_are_probabilities_on_the_grid(kind):
    p = taught(kind).predict_many(rows(100) * 1000)
    assert ((p >= 0) & (p <= 1)).all()
    assert (p * GRID).tolist() == np.rint(p * GRID).tolist()


@each_kind
def test_an_empty_list_is_scored_as_one(kind):
    assert taught(kind).predict_many(np.zeros((F, 0))).shape == (0,)


@each_kind
def test_scoring_and_explaining_leave_the_models_bytes_as_they_were(kind):
    model, x = taught(kind), rows(50)
    before, memory = model.block(), model.memory().tobytes()
    model.predict_many(x)
    model.contributions(x[:, 0])
    assert (model.block(), model.memory().tobytes()) == (before, memory)


@each_kind
def test_what_a_feature_contributes_is_nothing_where_it_is_0(kind):
    row = rows(1)[:, 0]
    row[::3] = 0.0
    parts = taught(kind).contributions(row)
    assert parts.shape == (F,)
    assert not parts[::3].any()
    assert parts.any()


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "listwise"])
def test_contributions_and_the_bias_add_up_to_the_log_odds(kind):
    """Of the net they do so within one linear piece, which its own tests hold."""
    model, x = taught(kind), rows(5)
    for at in range(5):
        total = model.contributions(x[:, at]).sum() + decode_block(model.block()).bias
        assert total == pytest.approx(log_odds(model, x)[at], abs=1e-9)


@each_kind
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), 1e308])
@pytest.mark.parametrize("where", ["x", "w"])
def test_a_step_that_is_not_finite_is_not_taken(kind, poison, where):
    """Weights count in a sum; one that is huge may be clipped, and then what is learned is finite."""
    model = taught(kind)
    before, memory = model.block(), model.memory().tobytes()
    ((x, y, w),) = lists(1)
    (x if where == "x" else w)[(2, 3) if where == "x" else 3] = poison
    with np.errstate(all="ignore"):
        learned = model.learn_many(x, y, w)
    assert model.is_finite()
    assert np.isfinite(model.memory()).all()
    if not learned:
        assert (model.block(), model.memory().tobytes()) == (before, memory)
    assert not (learned and where == "x")


@each_kind
def test_parameters_stay_finite_whatever_the_features(kind):
    """Of the largest size that an example can carry, for long."""
    model = learner(kind, SETTINGS)
    rng = np.random.default_rng(2)
    for _ in range(300):
        x = rng.choice([-65504.0, 0.0, 65504.0], (F, 8))
        y = np.zeros(8)
        y[rng.integers(8)] = 1.0
        model.learn_many(x, y, np.full(8, 1e6))
        assert model.is_finite()
        assert np.isfinite(model.predict_many(x)).all()


@each_kind
def test_a_block_carries_the_model_to_another_process_bit_for_bit(kind):
    model = taught(kind)
    model.version = 7
    copy = decode(f"champion/{kind}", model.block())
    assert copy.version == 7
    assert copy.predict_many(rows(50)).tolist() == model.predict_many(rows(50)).tolist()
    assert len(model.block()) < 256 * 1024


@each_kind
def test_a_damaged_block_is_refused(kind):
    block = decode_block(taught(kind).block())
    poisoned = np.full(len(block.weights) // 8, np.nan).tobytes()
    changes: list[dict[str, Any]] = [
        {"weights": block.weights[:-8]},
        {"weights": b""},
        {"weights": poisoned},
        {"bias": float("inf")},
    ]
    for change in [*changes, {"features": 1}, {"kind": "another"}, {"format": 99}]:
        with pytest.raises(ModelRefused):
            decode(f"champion/{kind}", encode_block(msgspec.structs.replace(block, **change)))


@each_kind
def test_from_block_and_memory_it_goes_on_as_the_one_that_never_stopped(kind):
    lasting, stopped, restored = taught(kind), taught(kind), learner(kind, SETTINGS)
    kept = MODELS[kind].from_block(stopped.block(), FEATURE_NAMES)
    assert restored.remember(kept, np.frombuffer(stopped.memory().tobytes()))
    for x, y, w in lists(20, seed=9):
        for each in (lasting, restored):
            assert each.learn_many(x, y, w)
    assert restored.block() == lasting.block()
    assert restored.memory().tobytes() == lasting.memory().tobytes()


@each_kind
def test_a_memory_that_is_none_is_refused_and_leaves_no_trace(kind):
    model = taught(kind)
    kept = MODELS[kind].from_block(learner(kind, SETTINGS).block(), FEATURE_NAMES)
    before, memory = model.block(), model.memory()
    for damaged in (memory[:-1], np.full_like(memory, np.nan), np.zeros(0)):
        assert not model.remember(kept, damaged)
        assert (model.block(), model.memory().tobytes()) == (before, memory.tobytes())


_TAUGHT = {kind: taught(kind) for kind in MODELS}
_WHOLE = {kind: model.predict_proba_many(rows(600)) for kind, model in _TAUGHT.items()}


@pytest.mark.parametrize("kind", ["logistic", "ftrl", "fm"])
def test_learning_row_by_row_by_rivers_protocol_equals_learning_from_arrays(kind):
    """``predict_proba_one`` and ``learn_one`` on dicts are another way of computing the same."""
    one: Any = learner(kind, replace(SETTINGS, clip=3.0))
    many: Any = learner(kind, replace(SETTINGS, clip=3.0))
    for x, y, w in lists(10):
        for at in range(0, len(y), 3):
            row = dict(zip(FEATURE_NAMES, x[:, at].tolist(), strict=True))
            p = one.predict_proba_one(row)
            assert p[True] == pytest.approx(many.predict_proba_many(x[:, [at]])[0], abs=1e-9)
            assert p[False] == 1 - p[True]
            one.learn_one(row, bool(y[at]), w[at])
            assert many.learn_many(x[:, [at]], y[[at]], w[[at]])
    theirs, ours = (np.frombuffer(decode_block(model.block()).weights) for model in (one, many))
    assert theirs == pytest.approx(ours, abs=1e-9)
    assert one.memory() == pytest.approx(many.memory(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", ["logistic", "ftrl", "fm"])
def test_a_feature_that_rivers_protocol_leaves_out_is_0(kind):
    model: Any = _TAUGHT[kind]
    x = np.zeros((F, 1))
    x[3] = 0.5
    assert model.predict_proba_one({FEATURE_NAMES[3]: 0.5})[True] == pytest.approx(model.predict_proba_many(x)[0])
