"""Prequential metrics: against their exact formulas and River's."""

from __future__ import annotations

import numpy as np
import pytest
from river import metrics as river_metrics

from streamer.core.models.metrics import BinaryMetrics


def predictions(n: int = 3000, seed: int = 11):
    rng = np.random.default_rng(seed)
    logit = rng.normal(-2, 1.5, n)
    p = 1 / (1 + np.exp(-logit))
    return (rng.random(n) < p).astype(float), p, rng.uniform(0.5, 6, n)


def counted(y, p, w, step: int = 30, memory: int = 0):
    metrics = BinaryMetrics(memory)
    for i in range(0, len(y), step):
        metrics.update(y[i : i + step], p[i : i + step], w[i : i + step])
    return metrics


def exact_auc(y, p, w):
    """The Mann-Whitney statistic over all pairs, ties half."""
    positive, negative = y > 0.5, y <= 0.5
    wins = (p[positive][:, None] > p[negative]) + 0.5 * (p[positive][:, None] == p[negative])
    pairs = w[positive][:, None] * w[negative]
    return (wins * pairs).sum() / pairs.sum()


def test_log_loss_is_its_formula_and_rivers():
    y, p, w = predictions()
    exact = -(w * (y * np.log(p) + (1 - y) * np.log(1 - p))).sum() / w.sum()
    assert counted(y, p, w).logloss() == pytest.approx(exact, abs=1e-9)
    rivers = river_metrics.LogLoss()
    for yi, pi in zip(y, p, strict=True):
        rivers.update(bool(yi), pi)
    assert counted(y, p, np.ones_like(w)).logloss() == pytest.approx(rivers.get(), abs=1e-9)


def test_auc_is_the_share_of_pairs_in_order():
    y, p, w = predictions()
    assert counted(y, p, w).auc() == pytest.approx(exact_auc(y, p, w), abs=5e-4)
    rivers = river_metrics.ROCAUC(n_thresholds=400)
    for yi, pi in zip(y, p, strict=True):
        rivers.update(bool(yi), pi)
    assert counted(y, p, np.ones_like(w)).auc() == pytest.approx(rivers.get(), abs=5e-3)


def test_auc_is_exact_where_predictions_lie_apart_and_ties_count_half():
    y = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    p = np.array([0.1, 0.3, 0.5, 0.5, 0.9])
    assert counted(y, p, np.ones(5)).auc() == pytest.approx(exact_auc(y, p, np.ones(5)), abs=1e-12)


def test_honest_probabilities_are_calibrated_and_doubled_ones_are_not():
    y, p, w = predictions(20_000)
    honest, doubled = counted(y, p, w), counted(y, np.minimum(2 * p, 0.999), w)
    assert honest.calibration_error() < 0.015
    assert doubled.calibration_error() > 0.1
    bins = honest.calibration()
    assert sum(b.weight for b in bins) == pytest.approx(w.sum())
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    assert sum(b.weight * b.observed for b in bins) == pytest.approx((w * y).sum())


def test_with_a_memory_the_old_fade():
    y, p, w = predictions()
    metrics = counted(1 - y, p, w, memory=20)
    for i in range(0, len(y), 30):
        metrics.update(y[i : i + 30], p[i : i + 30], w[i : i + 30])
    assert metrics.auc() == pytest.approx(exact_auc(y, p, w), abs=0.05)


def test_a_memory_is_the_same_before_and_after_its_sums_are_scaled_down():
    """A memory of two doubles the scale each time, so that a hundred updates cross the limit more than once."""
    y, p, w = predictions()
    metrics, losses, weights = BinaryMetrics(2), 0.0, 0.0
    for i in range(0, 3000, 30):
        part = slice(i, i + 30)
        metrics.update(y[part], p[part], w[part])
        loss = -(w[part] * np.log(np.where(y[part] > 0.5, p[part], 1 - p[part]))).sum()
        losses, weights = losses / 2 + loss, weights / 2 + w[part].sum()
        assert metrics.logloss() == pytest.approx(losses / weights, rel=1e-9)
    assert sum(b.weight for b in metrics.calibration()) == pytest.approx(weights, rel=1e-9)


def test_nothing_counted_is_not_a_number():
    metrics = BinaryMetrics()
    assert [str(f) for f in (metrics.logloss(), metrics.auc(), metrics.calibration_error())] == ["nan"] * 3
    assert metrics.calibration() == []


def test_a_certain_and_wrong_prediction_costs_much_but_not_everything():
    assert counted(np.ones(1), np.zeros(1), np.ones(1)).logloss() == pytest.approx(-np.log(1e-15))


def test_metrics_go_on_from_their_state():
    y, p, w = predictions()
    whole = counted(y, p, w)
    half, rest = counted(y[:1500], p[:1500], w[:1500]), BinaryMetrics()
    rest.restore(half.state())
    for i in range(1500, 3000, 30):
        rest.update(y[i : i + 30], p[i : i + 30], w[i : i + 30])
    assert rest.state() == whole.state()
