"""The tests behind a promotion: not fooled by chance however often asked, and not blind to what is there."""

from __future__ import annotations

from math import nan, sqrt

import numpy as np
import pytest
from river import drift

from streamer.core.learning_settings import LearningSettings
from streamer.core.models.adwin import Adwin
from streamer.core.models.contest import Contest
from streamer.core.models.guard import Guard
from streamer.core.models.promotion import MEASURES, Comparison, missed, nats, radius

BOUND = MEASURES["loss"].bound


def fair(rng, count):
    """Gains of mean 0 as log losses give them: mostly small, now and then large, and skewed either way."""
    skewed = np.where(rng.random(count) < 0.1, -1.8, 0.2)
    tails = rng.choice([-2.0, -0.1, 0.1, 2.0], count, p=[0.03, 0.47, 0.47, 0.03])
    return np.where(rng.random(count) < 0.5, skewed * rng.choice([-1, 1]), tails)


def test_chance_promotes_no_more_often_than_alpha_however_often_it_is_asked():
    """Asked after each of 1,500 examples. A test of two standard errors, asked as often, is fooled many times over."""
    rng = np.random.default_rng(11)
    fooled = naive = 0
    runs = 200
    for _ in range(runs):
        gains = fair(rng, 1500)
        comparison = Comparison(0.05, 20_000, BOUND)
        fooled += any(comparison.add(gain) for gain in gains.tolist())
        n = np.arange(1, 1501)
        means = np.cumsum(gains) / n
        spread = np.sqrt(np.maximum(np.cumsum(gains**2) / n - means**2, 1e-12) / n)
        naive += bool((means > 2 * spread)[30:].any())
    assert fooled <= 0.05 * runs
    assert naive > 0.15 * runs


def test_the_bound_holds_at_all_times_also_while_the_mean_moves():
    """Of the mean of what was expected so far, which is what a comparison of two that both learn is about."""
    rng = np.random.default_rng(5)
    broken = 0
    for _ in range(100):
        expected = 0.5 * np.sin(np.arange(1, 1001) / 150 + rng.uniform(0, 6))
        comparison = Comparison(0.05, 20_000, BOUND)
        below = []
        for gain, mean in zip(
            expected + rng.uniform(-1, 1, 1000), np.cumsum(expected) / np.arange(1, 1001), strict=True
        ):
            comparison.add(float(gain))
            below.append(comparison.lower() <= mean)
        broken += not all(below)
    assert broken <= 5


@pytest.mark.parametrize(("gain", "within"), [(0.05, 9_000), (0.1, 3_000), (0.3, 800)])
def test_a_real_difference_is_found_within_so_many_lists(gain, within):
    """In nats a list, with a spread of 0.37, which is what two kinds differed by on a shop's log."""
    found = []
    for seed in range(10):
        comparison = Comparison(0.01, 20_000, BOUND)
        gains = np.random.default_rng(seed).normal(gain, 0.37, within).tolist()
        found.append(next((at for at, each in enumerate(gains) if comparison.add(each)), None))
    assert None not in found


def test_what_is_undecided_begins_anew_and_may_be_fooled_less_often_each_time():
    comparison = Comparison(0.01, 100, BOUND)
    for _ in range(250):
        comparison.add(0.0)
    assert (comparison.state.rounds, comparison.state.count) == (3, 50)
    assert sum(1 / (r * (r + 1)) for r in range(1, 10_000)) <= 1
    assert radius(50.0, 0.01 / 6) > radius(50.0, 0.01 / 2)


def test_one_list_says_no_more_than_the_bound_and_what_is_no_number_speaks_against():
    one, other = Comparison(0.01, 1000, BOUND), Comparison(0.01, 1000, BOUND)
    one.add(1e9)
    other.add(nan)
    assert (one.mean(), other.mean()) == (BOUND, -BOUND)


def test_the_loss_of_a_list_is_its_log_likelihood_and_finite_even_where_the_model_was_certain():
    y, p, w = np.array([1.0, 0.0, 0.0]), np.array([0.2, 0.1, 0.5]), np.array([1.0, 3.0, 2.0])
    assert nats(y, p, w) == pytest.approx(-(np.log(0.2) + 3 * np.log(0.9) + 2 * np.log(0.5)), abs=1e-12)
    assert 20 < nats(y, np.array([0.0, 1.0, 0.0]), np.ones(3)) < 50


def test_what_is_missed_is_told_by_the_rank_of_the_first_row_taken_up():
    """Each sampled row above it is as many as it stands for, one beside it half."""
    w = np.array([1.0, 3.0, 2.0, 4.0])
    y = np.array([1.0, 0.0, 0.0, 0.0])
    assert missed(y, np.array([0.9, 0.1, 0.2, 0.3]), w) == 0.0
    assert missed(y, np.array([0.5, 0.9, 0.1, 0.2]), w) == pytest.approx(1 - 1 / 4)
    assert missed(y, np.array([0.5, 0.9, 0.5, 0.2]), w) == pytest.approx(1 - 1 / 5)
    assert missed(np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.1, 0.2, 0.9, 0.2]), w) == 0.0


def changed(adwin, values):
    return next((at for at, value in enumerate(values) if adwin.add(value) > 0), None)


def test_a_rise_is_found_and_the_window_cut_to_what_came_after():
    rng = np.random.default_rng(3)
    adwin = Adwin()
    assert changed(adwin, rng.normal(0.3, 0.1, 5000).tolist()) is None
    at = changed(adwin, rng.normal(0.4, 0.1, 1000).tolist())
    assert at is not None
    assert at < 300
    assert sum(n for n, _, _ in adwin.buckets) < 1000


def test_a_fall_is_no_rise():
    rng = np.random.default_rng(3)
    adwin = Adwin()
    values = [*rng.normal(0.6, 0.1, 3000).tolist(), *rng.normal(0.3, 0.1, 3000).tolist()]
    assert changed(adwin, values) is None
    assert sum(n for n, _, _ in adwin.buckets) <= 3100


def test_it_finds_what_rivers_adwin_finds_about_when_that_does():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        values = [*rng.uniform(0.0, 0.6, 2000).tolist(), *rng.uniform(0.2, 0.8, 1000).tolist()]
        ours, theirs, when = Adwin(), drift.ADWIN(), []
        for at, value in enumerate(values):
            theirs.update(value)
            if theirs.drift_detected and at >= 2000:
                when.append(at)
        assert changed(ours, values) == pytest.approx(when[0], abs=96)


def test_a_window_of_many_numbers_is_few_buckets_and_knows_their_mean():
    adwin = Adwin()
    for _ in range(50_000):
        adwin.add(0.25)
    assert len(adwin.buckets) < 5 * 17
    assert sum(n for n, _, _ in adwin.buckets) == 50_000
    assert sum(total for _, total, _ in adwin.buckets) == pytest.approx(12_500)
    assert adwin.sound()


def test_the_spread_of_joined_buckets_is_that_of_their_numbers():
    values = np.random.default_rng(9).uniform(0, 1, 31)
    adwin = Adwin(delta=1e-30)
    for value in values.tolist():
        adwin.add(value)
    largest = adwin.buckets[0]
    first = values[: largest[0]]
    assert largest[0] > 1
    assert largest[2] == pytest.approx(((first - first.mean()) ** 2).sum())


def list_of(rng, share=0.5):
    return np.where(rng.random((20, 15)) < share, 1.0, 0.0), np.array([1.0, *[0.0] * 14])


def test_the_guard_holds_off_what_lost_its_content_until_it_is_back():
    """And what is empty never becomes what is usual, however long it lasts."""
    rng, guard = np.random.default_rng(1), Guard(0.25)
    assert not any(guard.collapsed(*list_of(rng)) for _ in range(500))
    late = [guard.collapsed(*list_of(rng, 0.02)) for _ in range(5000)]
    assert late.index(True) < 100
    assert all(late[100:])
    back = [guard.collapsed(*list_of(rng)) for _ in range(200)]
    assert not any(back[50:])


def test_the_guard_lets_pass_what_is_only_poorer_and_all_if_told_to():
    rng, guard, off = np.random.default_rng(1), Guard(0.25), Guard(0.0)
    for each in (guard, off):
        assert not any(each.collapsed(*list_of(rng)) for _ in range(500))
    assert not any(guard.collapsed(*list_of(rng, 0.25)) for _ in range(2000))
    assert not any(off.collapsed(*list_of(rng, 0.0)) for _ in range(500))


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_that_tell_nothing_apart_are_a_collapse(label):
    rng, guard = np.random.default_rng(1), Guard(0.25)
    for _ in range(500):
        guard.collapsed(*list_of(rng))
    assert [guard.collapsed(list_of(rng)[0], np.full(15, label)) for _ in range(200)][-1]


def contest(**changes):
    return Contest(
        LearningSettings(**({"model": "logistic", "challengers": ("fm", "ftrl"), "promotion_by": "loss"} | changes))
    )


def judged(one, means, count, seed=0):
    """Judge lists of such mean losses until the champion changes; after how many it did."""
    rng = np.random.default_rng(seed)
    for at in range(count):
        shared = rng.normal(0, 2)
        if one.judge({kind: 10 + mean + shared + rng.normal(0, 0.2) for kind, mean in means.items()}):
            return at
    return None


def test_the_better_of_two_challengers_is_promoted_and_comparisons_begin_anew():
    one = contest()
    assert judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 2000) is not None
    assert (one.champion, one.former, one.promotions, one.rollbacks) == ("fm", "logistic", 1, 0)
    assert set(one.comparisons) == {"logistic", "ftrl"}
    assert {c.state.count for c in one.comparisons.values()} == {0}
    assert {c.state.rounds for c in one.comparisons.values()} == {2}


def test_models_that_are_as_good_change_nothing():
    one = contest()
    assert judged(one, {"logistic": 0.0, "fm": 0.0, "ftrl": 0.0}, 5000) is None
    assert one.promotions == 0


def test_a_promoted_champion_that_fails_gives_way_to_the_former_one():
    one = contest()
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 2000)
    assert judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 1000) is None
    # Ten times what its advantage was, so that it is seen by the drift before the comparison is sure.
    at = judged(one, {"logistic": 0.5, "fm": 8.0, "ftrl": 9.0}, 500)
    assert at is not None
    assert (one.champion, one.former, one.rollbacks) == ("logistic", "", 1)


def test_a_world_that_got_harder_for_all_is_a_drift_and_no_rollback():
    one = contest()
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 2000)
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 500)
    assert judged(one, {"logistic": 8.5, "fm": 8.0, "ftrl": 8.4}, 500) is None
    assert (one.champion, one.rollbacks) == ("fm", 0)
    assert one.drifts >= 1


def test_a_restored_contest_judges_as_the_one_that_never_stopped():
    lasting, restored = contest(), contest()
    for each in (lasting, restored):
        judged(each, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 2000)
    anew = contest()
    anew.restore(restored.state())
    means = {"logistic": 0.5, "fm": 0.45, "ftrl": 0.4}
    assert judged(anew, means, 3000, seed=4) == judged(lasting, means, 3000, seed=4)
    assert anew.state() == lasting.state()


def test_a_champion_that_the_settings_name_anew_is_the_champion():
    one = contest()
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 2000)
    other = contest(model="ftrl", challengers=("fm", "logistic"))
    other.restore(one.state())
    assert other.champion == "ftrl"
    fewer = contest(challengers=("ftrl",))
    fewer.restore(one.state())
    assert fewer.champion == "logistic"
    assert fewer.promotions == 1


def test_a_damaged_contest_goes_on_with_its_champion_and_compares_anew():
    one = contest()
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 2000)
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 50)
    state = one.state()
    state.buckets = [(3, nan, 0.0)]
    other = contest()
    other.restore(state)
    assert other.champion == "fm"
    assert {c.state.count for c in other.comparisons.values()} == {0}
    assert not sqrt(sum(b[1] for b in other.state().buckets))


def test_evidence_of_one_measure_is_none_of_another():
    one = contest()
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 2000)
    judged(one, {"logistic": 0.5, "fm": 0.0, "ftrl": 0.4}, 50)
    other = contest(promotion_by="rank")
    other.restore(one.state())
    assert other.champion == "fm"
    assert {c.state.count for c in other.comparisons.values()} == {0}
